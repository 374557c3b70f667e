// Emits the known set with the Go SDK over gRPC, configured by OTEL_* variables alone, and says what it was, as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type noted struct {
	Name   string `json:"name"`
	Trace  string `json:"trace"`
	Span   string `json:"span"`
	Parent string `json:"parent"`
}

type summary struct {
	Spans   []noted  `json:"spans"`
	Logs    []string `json:"logs"`
	Metrics []string `json:"metrics"`
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	spans, err := otlptracegrpc.New(ctx)
	if err != nil {
		return err
	}
	points, err := otlpmetricgrpc.New(ctx)
	if err != nil {
		return err
	}
	records, err := otlploggrpc.New(ctx)
	if err != nil {
		return err
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points)))
	loggers := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(records)))

	told := summary{
		Spans:   nil,
		Logs:    []string{"order received", "card declined ☕", "no span here"},
		Metrics: []string{"depth", "latency", "orders"},
	}
	atCheckout, atCharge := emitSpans(ctx, tracers, &told)
	emitLogs(loggers, told.Logs, []context.Context{atCheckout, atCharge, ctx})
	if err := emitMetrics(ctx, meters); err != nil {
		return err
	}
	err = errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx), loggers.Shutdown(ctx))
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

func emitSpans(ctx context.Context, tracers *sdktrace.TracerProvider, told *summary) (context.Context, context.Context) {
	tracer := tracers.Tracer("known-set", trace.WithInstrumentationVersion("1.2.3"))
	started := func(under context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
		parent := trace.SpanContextFromContext(under)
		within, span := tracer.Start(under, name, options...)
		own := span.SpanContext()
		note := noted{Name: name, Trace: own.TraceID().String(), Span: own.SpanID().String()}
		if parent.IsValid() {
			note.Parent = parent.SpanID().String()
		}
		told.Spans = append(told.Spans, note)
		return within, span
	}
	atCheckout, checkout := started(ctx, "checkout", trace.WithSpanKind(trace.SpanKindServer))
	checkout.SetAttributes(
		attribute.String("note", "naïve café ☕ 数据"),
		attribute.Int64("count", 9007199254740993),
		attribute.Float64("ratio", 2.5),
		attribute.Bool("paid", true),
		attribute.StringSlice("items", []string{"a", "b"}),
	)
	atReserve, reserve := started(atCheckout, "reserve")
	reserve.AddEvent("reserved", trace.WithAttributes(attribute.Int("shelf", 7)))
	atCharge, charge := started(atReserve, "charge", trace.WithSpanKind(trace.SpanKindClient))
	charge.SetStatus(codes.Error, "card declined")
	charge.RecordError(errors.New("card declined"))
	_, notify := started(atCheckout, "notify", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithLinks(trace.Link{SpanContext: charge.SpanContext()}))
	ending := []trace.Span{notify, charge, reserve, checkout}
	for number := range 20 {
		_, step := started(atCheckout, fmt.Sprintf("step-%02d", number))
		ending = append(ending, step)
	}
	_, poll := started(ctx, "poll", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(trace.Link{
		SpanContext: checkout.SpanContext(),
		Attributes:  []attribute.KeyValue{attribute.String("why", "follows")},
	}))
	for _, span := range append(ending, poll) {
		span.End()
	}
	return atCheckout, atCharge
}

func emitLogs(loggers *sdklog.LoggerProvider, bodies []string, at []context.Context) {
	logger := loggers.Logger("known-set", log.WithInstrumentationVersion("1.2.3"))
	severities := []log.Severity{log.SeverityInfo, log.SeverityError, log.SeverityWarn}
	for index, body := range bodies {
		var record log.Record
		record.SetBody(attribute.StringValue(body))
		record.SetSeverity(severities[index])
		logger.Emit(at[index], record)
	}
}

func emitMetrics(ctx context.Context, meters *sdkmetric.MeterProvider) error {
	meter := meters.Meter("known-set", metric.WithInstrumentationVersion("1.2.3"))
	orders, err := meter.Int64Counter("orders")
	if err != nil {
		return err
	}
	latency, err := meter.Float64Histogram("latency", metric.WithUnit("ms"))
	if err != nil {
		return err
	}
	depth, err := meter.Int64UpDownCounter("depth")
	if err != nil {
		return err
	}
	orders.Add(ctx, 3, metric.WithAttributes(attribute.String("kind", "web")))
	latency.Record(ctx, 12.5)
	depth.Add(ctx, 4)
	return nil
}
