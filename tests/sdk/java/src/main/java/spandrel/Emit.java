package spandrel;

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.logs.Logger;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.metrics.Meter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanBuilder;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.util.ArrayList;
import java.util.List;

/** Emits the known set with the Java SDK, configured by OTEL_* variables alone, and says what it was, as JSON. */
public final class Emit {
  private static final List<String> BODIES = List.of("order received", "card declined ☕", "no span here");

  private final Tracer tracer;
  private final List<String> noted = new ArrayList<>();
  private final List<Span> open = new ArrayList<>();

  private Emit(Tracer tracer) {
    this.tracer = tracer;
  }

  public static void main(String[] arguments) {
    OpenTelemetrySdk sdk = AutoConfiguredOpenTelemetrySdk.initialize().getOpenTelemetrySdk();
    Emit emit = new Emit(sdk.getSdkTracerProvider().get("known-set", "1.2.3"));
    emit.spans(sdk.getSdkLoggerProvider().get("known-set"));
    metrics(sdk.getSdkMeterProvider().get("known-set"));
    sdk.close();
    byte[] summary =
        """
        {"spans": [%s], "logs": ["%s"], "metrics": ["depth", "latency", "orders"]}
        """
            .formatted(String.join(", ", emit.noted), String.join("\", \"", BODIES))
            .getBytes(java.nio.charset.StandardCharsets.UTF_8);
    System.out.write(summary, 0, summary.length);
    System.out.flush();
  }

  private void spans(Logger logger) {
    Span checkout = started(tracer.spanBuilder("checkout").setSpanKind(SpanKind.SERVER), "checkout", null);
    checkout.setAttribute("note", "naïve café ☕ 数据");
    checkout.setAttribute("count", 9007199254740993L);
    checkout.setAttribute("ratio", 2.5);
    checkout.setAttribute("paid", true);
    checkout.setAttribute(AttributeKey.stringArrayKey("items"), List.of("a", "b"));
    Span reserve = started(tracer.spanBuilder("reserve"), "reserve", checkout);
    reserve.addEvent("reserved", Attributes.of(AttributeKey.longKey("shelf"), 7L));
    Span charge = started(tracer.spanBuilder("charge").setSpanKind(SpanKind.CLIENT), "charge", reserve);
    charge.setStatus(StatusCode.ERROR, "card declined");
    charge.recordException(new IllegalStateException("card declined"));
    SpanBuilder notify = tracer.spanBuilder("notify").setSpanKind(SpanKind.PRODUCER);
    started(notify.addLink(charge.getSpanContext()), "notify", checkout);
    for (int number = 0; number < 20; number++) {
      String name = "step-%02d".formatted(number);
      started(tracer.spanBuilder(name), name, checkout);
    }
    SpanBuilder poll = tracer.spanBuilder("poll").setSpanKind(SpanKind.CONSUMER);
    Attributes why = Attributes.of(AttributeKey.stringKey("why"), "follows");
    started(poll.addLink(checkout.getSpanContext(), why), "poll", null);
    logs(logger, checkout, charge);
    open.forEach(Span::end);
  }

  /** A started span, noted. */
  private Span started(SpanBuilder builder, String name, Span parent) {
    Context under = parent == null ? Context.root() : Context.root().with(parent);
    Span span = builder.setParent(under).startSpan();
    String parentId = parent == null ? "" : parent.getSpanContext().getSpanId();
    noted.add(
        """
        {"name": "%s", "trace": "%s", "span": "%s", "parent": "%s"}"""
            .formatted(name, span.getSpanContext().getTraceId(), span.getSpanContext().getSpanId(), parentId));
    open.add(0, span);
    return span;
  }

  private static void logs(Logger logger, Span checkout, Span charge) {
    List<Severity> severities = List.of(Severity.INFO, Severity.ERROR, Severity.WARN);
    List<Context> within =
        List.of(Context.root().with(checkout), Context.root().with(charge), Context.root());
    for (int index = 0; index < BODIES.size(); index++) {
      logger
          .logRecordBuilder()
          .setContext(within.get(index))
          .setSeverity(severities.get(index))
          .setBody(BODIES.get(index))
          .emit();
    }
  }

  private static void metrics(Meter meter) {
    Attributes web = Attributes.of(AttributeKey.stringKey("kind"), "web");
    meter.counterBuilder("orders").build().add(3, web);
    meter.histogramBuilder("latency").setUnit("ms").build().record(12.5);
    meter.upDownCounterBuilder("depth").build().add(4);
  }
}
