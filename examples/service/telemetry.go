package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// telemetry is what the service tells about itself.
type telemetry struct {
	meters   metric.MeterProvider
	tracers  trace.TracerProvider
	metrics  http.Handler                    // for Prometheus
	shutdown func(ctx context.Context) error // writes what is left
}

// newTelemetry sets up metrics for Prometheus, and spans on out if trace is set.
func newTelemetry(tracing bool, out io.Writer) (*telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	who := resource.NewSchemaless(attribute.String("service.name", "service"))
	sizes := sdkmetric.NewView( // of bodies: histograms that nobody looks at
		sdkmetric.Instrument{Name: "http.server.*.body.size"}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}})
	meters := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(exporter), sdkmetric.WithResource(who), sdkmetric.WithView(sizes))
	t := &telemetry{
		meters:   meters,
		tracers:  noop.NewTracerProvider(),
		metrics:  promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		shutdown: meters.Shutdown,
	}
	if !tracing {
		return t, nil
	}
	spans, err := stdouttrace.New(stdouttrace.WithWriter(out))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans), sdktrace.WithResource(who))
	t.tracers = tracers
	t.shutdown = func(ctx context.Context) error {
		return errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx))
	}
	return t, nil
}
