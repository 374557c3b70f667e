"""Talks to a stand-in of OpenAI under OpenTelemetry's own instrumentation, which says what was said as logs.

Where to is said by OTEL_EXPORTER_OTLP_ENDPOINT. Spans go out first and log records after them, by their own
exporters. What was asked and answered is the last line on standard output, as JSON.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI
from opentelemetry import _logs, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SYSTEM, ASKED, ANSWERED = "Be brief.", "Where is Madrid? ☀️", "In Spain."


class OpenAIStandIn(BaseHTTPRequestHandler):
    """Answers every chat with the same words."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": ANSWERED}
        completion = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1800000000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        }
        body = json.dumps(completion).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), OpenAIStandIn)
threading.Thread(target=server.serve_forever, daemon=True).start()

resource = Resource.create()
tracers, loggers = TracerProvider(resource=resource), LoggerProvider(resource)
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
trace.set_tracer_provider(tracers)
_logs.set_logger_provider(loggers)
OpenAIInstrumentor().instrument()

client = OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
with tracers.get_tracer("shop").start_as_current_span("answer the customer"):
    client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": ASKED}],
    )
tracers.force_flush()
loggers.force_flush()
print(json.dumps({"system": SYSTEM, "asked": ASKED, "answered": ANSWERED}))
