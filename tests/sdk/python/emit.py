"""Emits the known set with the Python SDK and says what it was, as JSON.

Where to and how is said by OTEL_EXPORTER_OTLP_{ENDPOINT,PROTOCOL,COMPRESSION}.
"""

import json
import logging
import os

from opentelemetry import metrics, trace
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

resource = Resource.create()
tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource)
loggers = LoggerProvider(resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))

tracer = tracers.get_tracer("known-set", "1.2.3")
spans = []


def started(name, **options):
    """A started span, noted."""
    span = tracer.start_span(name, **options)
    own, parent = span.get_span_context(), span.parent
    spans.append(
        {
            "name": name,
            "trace": trace.format_trace_id(own.trace_id),
            "span": trace.format_span_id(own.span_id),
            "parent": trace.format_span_id(parent.span_id) if parent else "",
        }
    )
    return span


def under(parent):
    return trace.set_span_in_context(parent)


checkout = started("checkout", kind=SpanKind.SERVER)
checkout.set_attribute("note", "naïve café ☕ 数据")
checkout.set_attribute("count", 9007199254740993)
checkout.set_attribute("ratio", 2.5)
checkout.set_attribute("paid", True)
checkout.set_attribute("items", ["a", "b"])
reserve = started("reserve", context=under(checkout))
reserve.add_event("reserved", {"shelf": 7})
charge = started("charge", context=under(reserve), kind=SpanKind.CLIENT)
charge.set_status(Status(StatusCode.ERROR, "card declined"))
charge.record_exception(ValueError("card declined"))
notify = started(
    "notify", context=under(checkout), kind=SpanKind.PRODUCER, links=[Link(charge.get_span_context())]
)
steps = [started(f"step-{number:02}", context=under(checkout)) for number in range(20)]
poll = started("poll", kind=SpanKind.CONSUMER, links=[Link(checkout.get_span_context(), {"why": "follows"})])

logger = logging.getLogger("known-set")
logger.setLevel(logging.INFO)
logger.propagate = False
logger.addHandler(LoggingHandler(logger_provider=loggers))
logs = ["order received", "card declined ☕", "no span here"]
with trace.use_span(checkout):
    logger.info(logs[0])
with trace.use_span(charge):
    logger.error(logs[1])
logger.warning(logs[2])

meter = meters.get_meter("known-set", "1.2.3")
meter.create_counter("orders").add(3, {"kind": "web"})
meter.create_histogram("latency", unit="ms").record(12.5)
meter.create_up_down_counter("depth").add(4)

for span in [poll, *steps, notify, charge, reserve, checkout]:
    span.end()
for provider in (tracers, meters, loggers):
    provider.force_flush()
    provider.shutdown()
print(json.dumps({"spans": spans, "logs": logs, "metrics": ["depth", "latency", "orders"]}))
