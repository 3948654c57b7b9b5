package jobs

import (
	"errors"
	"time"
)

var (
	// ErrTooLarge is in the error of Go for arguments that need more bytes than MaxBytes allows.
	ErrTooLarge = errors.New("jobs: too large")
	// ErrSourceGone is in the error of a Source that has ended. Serve drains and returns it.
	ErrSourceGone = errors.New("jobs: the source has ended")
	// ErrDraining is the cause of a job's context whose worker did not want to wait any longer. What the handler
	// returns then is no failed attempt: another worker runs the job again.
	ErrDraining = errors.New("jobs: the worker is draining")
)

type permanentError struct{ error }

func (p permanentError) Unwrap() error { return p.error }

// Permanent marks an error of a handler: another attempt would not help, and the job is a dead letter now.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

type retryError struct {
	error
	after time.Duration
	free  bool
}

func (r retryError) Unwrap() error { return r.error }

// RetryIn marks an error of a handler: the next attempt comes after d, whatever Backoff says. It counts as an attempt.
func RetryIn(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return retryError{error: err, after: max(d, 0)}
}

// Postpone marks an error of a handler that could not begin: somebody else has what it needs. The job comes again after d, and
// no attempt is counted, so nothing but Until bounds how often.
func Postpone(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return retryError{error: err, after: max(d, 0), free: true}
}
