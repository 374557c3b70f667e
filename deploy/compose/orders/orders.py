"""Takes orders: asks stock, in the same trace."""
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("orders")
STOCK = os.environ.get("STOCK", "http://127.0.0.1:8001")


class Orders(BaseHTTPRequestHandler):
    def do_GET(self):
        with tracer.start_as_current_span("GET /order", kind=trace.SpanKind.SERVER):
            with tracer.start_as_current_span("ask stock", kind=trace.SpanKind.CLIENT):
                headers = {}
                propagate.inject(headers)
                request = urllib.request.Request(STOCK + "/stock", headers=headers)
                with urllib.request.urlopen(request, timeout=5) as reply:
                    answer = reply.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ordered; " + answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8000"))), Orders)
print(server.server_port, flush=True)
server.serve_forever()
