// Emits the known set with the Node SDK, configured by OTEL_* variables alone, and says what it was, as JSON.

const { metrics, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = require('@opentelemetry/api');
const { logs, SeverityNumber } = require('@opentelemetry/api-logs');
const { NodeSDK } = require('@opentelemetry/sdk-node');

const sdk = new NodeSDK();
sdk.start();

const tracer = trace.getTracer('known-set', '1.2.3');
const spans = [];

/** A started span, noted. */
function started(name, parent, options = {}) {
  const under = parent ? trace.setSpan(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
  const span = tracer.startSpan(name, options, under);
  const { traceId, spanId } = span.spanContext();
  spans.push({ name, trace: traceId, span: spanId, parent: parent ? parent.spanContext().spanId : '' });
  return span;
}

const checkout = started('checkout', null, { kind: SpanKind.SERVER });
checkout.setAttributes({ note: 'naïve café ☕ 数据', count: 42, ratio: 2.5, paid: true, items: ['a', 'b'] });
const reserve = started('reserve', checkout);
reserve.addEvent('reserved', { shelf: 7 });
const charge = started('charge', reserve, { kind: SpanKind.CLIENT });
charge.setStatus({ code: SpanStatusCode.ERROR, message: 'card declined' });
charge.recordException(new Error('card declined'));
const notify = started('notify', checkout, {
  kind: SpanKind.PRODUCER,
  links: [{ context: charge.spanContext() }],
});
const steps = Array.from({ length: 20 }, (_, number) =>
  started(`step-${String(number).padStart(2, '0')}`, checkout),
);
const poll = started('poll', null, {
  kind: SpanKind.CONSUMER,
  links: [{ context: checkout.spanContext(), attributes: { why: 'follows' } }],
});

const logger = logs.getLogger('known-set', '1.2.3');
const bodies = ['order received', 'card declined ☕', 'no span here'];
const severities = [SeverityNumber.INFO, SeverityNumber.ERROR, SeverityNumber.WARN];
[checkout, charge, null].forEach((span, index) => {
  const within = span ? trace.setSpan(ROOT_CONTEXT, span) : ROOT_CONTEXT;
  logger.emit({ body: bodies[index], severityNumber: severities[index], context: within });
});

const meter = metrics.getMeter('known-set', '1.2.3');
meter.createCounter('orders').add(3, { kind: 'web' });
meter.createHistogram('latency', { unit: 'ms' }).record(12.5);
meter.createUpDownCounter('depth').add(4);

[poll, ...steps, notify, charge, reserve, checkout].forEach((span) => span.end());
sdk.shutdown().then(() => {
  console.log(JSON.stringify({ spans, logs: bodies, metrics: ['depth', 'latency', 'orders'] }));
});
