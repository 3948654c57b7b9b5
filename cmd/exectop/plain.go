package main

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"
)

// printPlain prints all of a look, as for a file or a pipe.
func printPlain(out io.Writer, m *model) error {
	var b bytes.Buffer
	for _, line := range m.head() {
		fmt.Fprintln(&b, line.text)
	}
	for i, t := range m.tables() {
		if len(t.rows) == 0 && i > 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", t.title)
		columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, name := range t.columns {
			fmt.Fprintf(columns, "%s\t", name)
		}
		fmt.Fprintln(columns)
		for _, row := range t.rows {
			for _, c := range row {
				fmt.Fprintf(columns, "%s\t", c.text)
			}
			fmt.Fprintln(columns)
		}
		if err := columns.Flush(); err != nil {
			return err
		}
	}
	_, err := out.Write(b.Bytes())
	return err
}
