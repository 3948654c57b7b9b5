// Package jetstream is a queue of jobs on NATS JetStream: a Sender and a Source of package jobs.
//
//	nc, err := nats.Connect("nats://one,nats://two", nats.MaxReconnects(-1))
//	js, err := natsjs.New(nc)               // github.com/nats-io/nats.go/jetstream
//	on, err := jetstream.New(ctx, js, jetstream.Config{Name: "images", Replicas: 3})
//	err = resize.Go(ctx, on, Resize{"a.png", 640})
//	err = jobs.Serve(ctx, exec, on, jobs.Kinds(resize))
//
// # What it makes at the broker
//
// For a queue named images: the stream "images" (work queue: a job is there until it is done or dead), with subjects jobs.images.>; a
// durable pull consumer "any" for jobs without a key, and "key-0", "key-1", ... with one job in flight each, for jobs with one; the stream "images-dead" for
// dead letters, which keeps them by age and number, so that anybody may read it; the buckets "images-untried", which counts deliveries that
// were given back, and "images-claims", for Once. New makes what is not there and changes nothing that is: an operator's
// changes stay.
//
// # What is promised
//
// A job that Send accepted is run at least once, as long as the stream lives and its disk keeps what it has confirmed. A
// server with its default settings flushes to disk every two minutes: with one replica set sync_interval to always, or
// use package embedded, which does; with three, what is confirmed is on more than one machine.
//
// A server from 2.12 on keeps delayed jobs back itself. Older ones deliver them, and the worker gives them back until they are due. Once needs
// a server from 2.11 on.
package jetstream
