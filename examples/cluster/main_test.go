package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The test binary is the program too.
func TestMain(m *testing.M) {
	if os.Getenv("EXECUTOR_CLUSTER_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEverything(t *testing.T) {
	if err := everything(context.Background(), t.TempDir(), "127.0.0.1:0", 100); err != nil {
		t.Fatal(err)
	}
}

type process struct {
	cmd *exec.Cmd
	out io.Reader
}

func start(t *testing.T, args ...string) process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "EXECUTOR_CLUSTER_MAIN=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := process{cmd, out}
	t.Cleanup(p.kill)
	return p
}

func (p process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// The parts as processes: the server and a worker are killed in the middle, and start again. The client sees all jobs done.
func TestProcesses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir, url := t.TempDir(), "nats://"+addr
	server := start(t, "-server", addr, "-dir", dir)
	start(t, "-worker", "-nats", url)
	other := start(t, "-worker", "-nats", url)
	client := start(t, "-send", "600", "-nats", url)
	for page := bufio.NewReader(client.out); ; { // until some are done
		text, err := page.ReadString('\r')
		if err != nil {
			t.Fatalf("the client ended early: %v", err)
		}
		var sent, done int
		if _, at, ok := strings.Cut(text, "] "); ok {
			if _, err := fmt.Sscanf(at, "sent %d  done %d", &sent, &done); err == nil && done > 20 {
				break
			}
		}
	}
	go func() { _, _ = io.Copy(io.Discard, client.out) }()
	other.kill()
	server.kill()
	start(t, "-server", addr, "-dir", dir)
	start(t, "-worker", "-nats", url)
	if err := client.cmd.Wait(); err != nil {
		t.Fatal(fmt.Errorf("the client: %w", err))
	}
}
