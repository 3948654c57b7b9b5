package main

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLine_EscapesAsSha256sum(t *testing.T) {
	digest := bytes.Repeat([]byte{0xab}, 32)
	hex := strings.Repeat("ab", 32)
	for path, want := range map[string]string{
		"a":          hex + "  a\n",
		"a b\t":      hex + "  a b\t\n",
		" *a":        hex + "   *a\n",
		"\xff":       hex + "  \xff\n",
		"a\nb":       `\` + hex + `  a\nb` + "\n",
		"a\rb":       `\` + hex + `  a\rb` + "\n",
		`a\b`:        `\` + hex + `  a\\b` + "\n",
		`a\nb`:       `\` + hex + `  a\\nb` + "\n",
		"\\\n\r\\":   `\` + hex + `  \\\n\r\\` + "\n",
		"\n/\n":      `\` + hex + `  \n/\n` + "\n",
		"a\x00é\x1b": hex + "  a\x00é\x1b\n",
	} {
		assert.Equal(t, want, line(digest, path))
	}
}

func TestPrintable_IsOneLine(t *testing.T) {
	for path, want := range map[string]string{
		"a/b c é":  "a/b c é",
		`a\b"`:     `a\b"`,
		"a\nb":     `"a\nb"`,
		"\x1b[31m": `"\x1b[31m"`,
		"a\xff":    `"a\xff"`,
	} {
		assert.Equal(t, want, printable(path))
	}
}

func TestCause_LeavesThePathOut(t *testing.T) {
	assert.Equal(t, fs.ErrPermission, cause(&fs.PathError{Op: "open", Path: "x\ny", Err: fs.ErrPermission}))
	other := errors.New("other")
	assert.Equal(t, other, cause(other))
}
