// Knows what is in stock; its spans belong to the trace of whoever asks.
const { NodeSDK } = require('@opentelemetry/sdk-node');
const { trace, context, propagation, SpanKind } = require('@opentelemetry/api');
const http = require('http');

const sdk = new NodeSDK();
sdk.start();
const tracer = trace.getTracer('stock');

const server = http.createServer((request, response) => {
  const asked = propagation.extract(context.active(), request.headers);
  const span = tracer.startSpan('GET /stock', { kind: SpanKind.SERVER }, asked);
  response.end('7 in stock\n');
  span.end();
});
server.listen(Number(process.env.PORT || 8001), '0.0.0.0', () => console.log(server.address().port));
process.on('SIGTERM', () => sdk.shutdown().finally(() => process.exit(0)));
