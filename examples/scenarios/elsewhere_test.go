package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestElsewhere_SaysWhatWentWrong(t *testing.T) {
	trial := &trial{timeline: newTimeline(), ctx: t.Context(), scale: 1}
	var result int
	require.ErrorContains(t, askElsewhere(trial, "no such thing", &result), "nothing to measure")
	require.ErrorContains(t, askElsewhere(trial, "cgo-flood after", &result, "/bin/sh", "-c", "echo nonsense"), "invalid character")
	require.Error(t, askElsewhere(trial, "cgo-flood after", &result, "/no/such/program"))
}

func TestElsewhere_PicturesComeAsTheyWere(t *testing.T) {
	want := picture{labels: []string{"a", "b"}, lanes: [][]span{{{0, 1, 2}, {blocked, 2, 3}}, {{1, 2, 4}}}, took: 5}
	text, err := json.Marshal(newSentPicture(want))
	require.NoError(t, err)
	var sent sentPicture
	require.NoError(t, json.Unmarshal(text, &sent))
	tl := newTimeline()
	tl.adopt(sent)
	require.Equal(t, want, tl.end())
}
