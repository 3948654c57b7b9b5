package main

// modules are what is measured: programs and libraries that use errgroup, conc, ants, pond, workerpool, sync.WaitGroup or many
// plain goroutines, and two that call C. Their versions are pinned, so that a figure can be had again.
var modules = []string{
	"github.com/ThreeDotsLabs/watermill@v1.5.1",
	"github.com/cockroachdb/pebble@v1.1.5",
	"github.com/dgraph-io/badger/v4@v4.9.6",
	"github.com/go-co-op/gocron/v2@v2.21.2",
	"github.com/gocolly/colly/v2@v2.3.0",
	"github.com/google/go-containerregistry@v0.22.1",
	"github.com/hashicorp/memberlist@v0.7.0",
	"github.com/hashicorp/raft@v1.8.0",
	"github.com/hibiken/asynq@v0.26.0",
	"github.com/mattn/go-sqlite3@v1.14.53",
	"github.com/minio/minio-go/v7@v7.4.1",
	"github.com/panjf2000/gnet/v2@v2.9.7",
	"github.com/quic-go/quic-go@v0.65.0",
	"github.com/redis/go-redis/v9@v9.23.0",
	"github.com/spf13/viper@v1.18.2",
	"github.com/twmb/franz-go@v1.21.6",
	"github.com/valyala/gozstd@v1.27.0",
	"golang.org/x/crypto@v0.59.0",
	"oras.land/oras-go/v2@v2.6.4",
}
