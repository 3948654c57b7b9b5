package main

import (
	"context"
	"testing"
)

func TestEverything(t *testing.T) {
	if err := everything(context.Background(), t.TempDir(), "127.0.0.1:0", 100); err != nil {
		t.Fatal(err)
	}
}
