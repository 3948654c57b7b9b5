package jetstream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/seed-97bda89a/executor/jobs"
)

// How a job looks on the wire. Headers of the message are those of jobs.Message.Header, and these.
const (
	headerID    = "Executor-Job-Id"
	headerKind  = "Executor-Job-Kind"
	headerKey   = "Executor-Job-Key" // escaped as in a query
	headerDue   = "Executor-Job-Due"
	headerUntil = "Executor-Job-Until"
	headerSent  = "Executor-Job-Sent"

	// Of dead letters.
	HeaderReason  = "Executor-Job-Reason"  // why it is dead
	HeaderAttempt = "Executor-Job-Attempt" // the attempt that was the last
	HeaderSubject = "Executor-Job-Subject" // where it was
	HeaderRef     = "Executor-Job-Ref"     // jobs.Message.Ref
)

func (q *Queue) encode(m *jobs.Message) (*nats.Msg, []natsjs.PublishOpt, error) {
	if m == nil || m.ID == "" || m.Kind == "" {
		return nil, nil, errors.New("jobs/jetstream: a message needs a Kind and an ID")
	}
	if strings.ContainsAny(m.Kind, ". *>\t\r\n") {
		return nil, nil, fmt.Errorf("jobs/jetstream: kind %q can not be part of a subject", m.Kind)
	}
	subject, err := q.cfg.subject(m.Kind, m.Key)
	if err != nil {
		return nil, nil, err
	}
	h := nats.Header{headerID: {url.QueryEscape(m.ID)}, headerKind: {m.Kind}, headerSent: {stamp(m.Sent)}}
	for name, value := range m.Header {
		h[name] = []string{value}
	}
	if m.Key != "" {
		h[headerKey] = []string{url.QueryEscape(m.Key)}
	}
	if !m.Until.IsZero() {
		h[headerUntil] = []string{stamp(m.Until)}
	}
	msg := &nats.Msg{Subject: subject, Header: h, Data: m.Body}
	opts := []natsjs.PublishOpt{natsjs.WithMsgID(url.QueryEscape(m.ID))}
	if time.Until(m.Due) > 0 {
		h[headerDue] = []string{stamp(m.Due)}
		q.mu.Lock()
		schedule := q.schedule
		q.mu.Unlock()
		if schedule {
			sum := sha256.Sum256([]byte(m.ID))
			msg.Subject = q.cfg.prefix() + "due." + hex.EncodeToString(sum[:16])
			h["Nats-Schedule"] = []string{"@at " + stamp(m.Due)} // the client's option would cut it to seconds
			h["Nats-Schedule-Target"] = []string{subject}
		}
	}
	return msg, opts, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// decode makes a job of what anybody may have published: what can not be read is left out, and Serve decides.
func decode(msg natsjs.Msg, meta *natsjs.MsgMetadata) *jobs.Message {
	h := msg.Headers()
	text := func(name string) string {
		if v := h[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	unescape := func(s string) string {
		if plain, err := url.QueryUnescape(s); err == nil {
			return plain
		}
		return s
	}
	when := func(name string) time.Time {
		t, _ := time.Parse(time.RFC3339Nano, text(name))
		return t
	}
	m := &jobs.Message{
		Kind: text(headerKind), ID: unescape(text(headerID)), Key: unescape(text(headerKey)),
		Due: when(headerDue), Until: when(headerUntil), Sent: when(headerSent), Body: msg.Data(),
		Sequence: meta.Sequence.Stream,
		Ref:      meta.Stream + "/" + strconv.FormatUint(meta.Sequence.Stream, 10) + "/" + strconv.FormatInt(meta.Timestamp.UnixNano(), 36),
	}
	if m.Kind == "" { // somebody published by hand: the subject's last part
		m.Kind = msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:]
	}
	if m.ID == "" {
		m.ID = m.Ref
	}
	if m.Sent.IsZero() {
		m.Sent = meta.Timestamp
	}
	for name, v := range h {
		if len(v) > 0 && !strings.HasPrefix(name, "Nats-") && !strings.HasPrefix(name, "Executor-Job-") {
			if m.Header == nil {
				m.Header = make(map[string]string, len(h))
			}
			m.Header[name] = v[0]
		}
	}
	return m
}
