module github.com/seed-97bda89a/executor/examples/cluster

go 1.26.0

replace (
	github.com/seed-97bda89a/executor => ../../
	github.com/seed-97bda89a/executor/jobs => ../../jobs
	github.com/seed-97bda89a/executor/jobs/jetstream => ../../jobs/jetstream
	github.com/seed-97bda89a/executor/jobs/jetstream/embedded => ../../jobs/jetstream/embedded
)

require (
	github.com/nats-io/nats.go v1.55.0
	github.com/seed-97bda89a/executor v0.0.0-00010101000000-000000000000
	github.com/seed-97bda89a/executor/jobs v0.0.0-00010101000000-000000000000
	github.com/seed-97bda89a/executor/jobs/jetstream v0.0.0-00010101000000-000000000000
	github.com/seed-97bda89a/executor/jobs/jetstream/embedded v0.0.0-00010101000000-000000000000
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.9.0-default-no-op // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/klauspost/compress v1.20.4 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/nats-io/jwt/v2 v2.8.3 // indirect
	github.com/nats-io/nats-server/v2 v2.15.3 // indirect
	github.com/nats-io/nkeys v0.4.17 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/petermattis/goid v0.0.0-20260820044319-269ab09b5261 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel v1.47.0 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.opentelemetry.io/otel/metric v1.47.0 // indirect
	go.opentelemetry.io/otel/trace v1.47.0 // indirect
	go.uber.org/automaxprocs v1.6.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)
