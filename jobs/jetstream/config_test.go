package jetstream

import (
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/jobs"
)

func TestPartitionOf(t *testing.T) {
	c := Config{Name: "q", Partitions: 4}
	for _, key := range []string{"a", "b", "ü", "\x00"} {
		subject, err := c.subject("kind", key)
		if err != nil || c.partitionOf(subject) != c.partition(key) {
			t.Fatalf("%q: %s, %v", key, subject, err)
		}
	}
	for _, subject := range []string{"jobs.q.any.x", "jobs.q.key.4.x", "jobs.q.key.-1.x", "jobs.q.key.x.1", "jobs.q.key.", "", "jobs.p.key.1.x"} {
		if n := c.partitionOf(subject); n != -1 {
			t.Fatalf("%s: %d", subject, n)
		}
	}
}

// Whatever somebody publishes becomes a message, and what is sent comes back as it was.
func FuzzDecode(f *testing.F) {
	f.Add("kind", "key", "id", "2026-01-01T00:00:00Z", []byte("body"))
	f.Add("", "%", "\r\n", "never", []byte(nil))
	f.Fuzz(func(t *testing.T, kind, key, id, when string, body []byte) {
		meta := &natsjs.MsgMetadata{Stream: "q"}
		h := nats.Header{headerKind: {kind}, headerKey: {key}, headerID: {id}, headerDue: {when}, headerUntil: {when}, "traceparent": {when}, "empty": nil}
		m := decode(rawMsg{raw: &natsjs.RawStreamMsg{Subject: "jobs.q.any." + kind, Header: h, Data: body}}, meta)
		if m.ID == "" || m.Sent != meta.Timestamp || string(m.Body) != string(body) {
			t.Fatalf("%+v", m)
		}
		q := &Queue{cfg: Config{Name: "q", Partitions: 4}}
		msg, _, err := q.encode(&jobs.Message{Kind: kind, Key: key, ID: id, Body: body})
		if err != nil {
			return
		}
		back := decode(rawMsg{raw: &natsjs.RawStreamMsg{Subject: msg.Subject, Header: msg.Header, Data: msg.Data}}, meta)
		if back.Kind != kind || back.Key != key || back.ID != id {
			t.Fatalf("%+v became %+v", m, back)
		}
	})
}
