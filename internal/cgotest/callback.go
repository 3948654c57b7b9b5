//go:build cgo && !windows

package cgotest

/*
extern void executorCallback(void);

static inline void call_back(void) {
	executorCallback();
}
*/
import "C"

import "sync"

var callback struct {
	mu sync.Mutex
	fn func()
}

// CallBack calls fn from C, on the calling goroutine's thread.
func CallBack(fn func()) {
	callback.mu.Lock()
	defer callback.mu.Unlock()
	callback.fn = fn
	C.call_back()
}

//export executorCallback
func executorCallback() { callback.fn() }
