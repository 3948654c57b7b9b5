package main

import (
	"context"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Somebody waits for an answer, and the default of the select was meant to keep it from hanging.
var spinningSelect = scenario{
	name: "spinning-select",
	explain: "A select with an empty default is a loop that asks all the time and has a processor to itself; " +
		"waiting for a Future needs none, and inside a task lends the slot.",
	before: spinningSelectBefore, beforeWith: "for { select { case answer = <-answers: ... default: } }",
	after: spinningSelectAfter, afterWith: "Submit, then Wait",
	unavailable: noProcessorTime,
}

const (
	spinningSelectBurnt = "processor time while waiting"
	spinningSelectTime  = "time until the answer"
)

// The answer comes from somewhere else, after a second.
const spinningSelectAnswer = time.Second

func spinningSelectBefore(t *trial) (values, error) {
	used, start := processorTime(), time.Now()
	answers := make(chan int)
	go func() {
		t.block(func() { time.Sleep(t.lasting(spinningSelectAnswer)) })
		answers <- 42
	}()
	t.run("waiting for the answer", func() {
		for {
			select {
			case <-answers:
				return
			//lint:ignore SA5004 this is the failure; the linter knows it, those who write it do not ask
			default:
			}
		}
	})
	return values{
		duration(spinningSelectBurnt, processorTime()-used),
		duration(spinningSelectTime, time.Since(start)),
	}, nil
}

func spinningSelectAfter(t *trial) (values, error) {
	exec, err := executor.New(executor.WithName("spinning-select"), executor.WithSlots(cores()))
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	used, start := processorTime(), time.Now()
	future, err := executor.Submit(t.ctx, exec, func(ctx context.Context) (int, error) {
		executor.Blocking(ctx, func() {
			t.block(func() { time.Sleep(t.lasting(spinningSelectAnswer)) })
		})
		return 42, nil
	})
	if err != nil {
		return nil, err
	}
	t.rest(func() { _, err = future.Wait(t.ctx) })
	return values{
		duration(spinningSelectBurnt, processorTime()-used),
		duration(spinningSelectTime, time.Since(start)),
	}, err
}
