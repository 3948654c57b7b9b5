package main

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"strconv"
	"strings"
)

// escapes are those of GNU sha256sum: without them a name could break its line.
var escapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

// line is the line of the list for a file: the digest, two spaces, the path. A backslash in front says that the path
// has escapes in it.
func line(digest []byte, path string) string {
	mark := ""
	if strings.ContainsAny(path, "\\\n\r") {
		mark, path = `\`, escapes.Replace(path)
	}
	return mark + hex.EncodeToString(digest) + "  " + path + "\n"
}

// printable is path for a message: as it is, or quoted if a terminal would not show it as one line.
func printable(path string) string {
	for _, r := range path {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return strconv.Quote(path)
		}
	}
	return path
}

// cause is err without the operation and the path, which the message has already.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
