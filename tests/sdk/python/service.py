"""A service: answers GET / inside a SERVER span, and calls DOWNSTREAM first when that is set.

Spans go out on their own timer (OTEL_BSP_SCHEDULE_DELAY), never by a flush. The port it got is the
first line on standard output; it ends when its standard input does.
"""

import os
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import propagate
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

provider = TracerProvider(resource=Resource.create())
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("service")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        context = propagate.extract(dict(self.headers.items()))
        with tracer.start_as_current_span("GET /", context=context, kind=SpanKind.SERVER):
            body = self.answer().encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self):
        if "DOWNSTREAM" not in os.environ:
            with tracer.start_as_current_span("think"):
                return "python"
        with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT):
            request = urllib.request.Request(os.environ["DOWNSTREAM"])
            propagate.inject(request.headers)
            with urllib.request.urlopen(request, timeout=30) as reply:
                return "python+" + reply.read().decode()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
server.shutdown()
provider.shutdown()
