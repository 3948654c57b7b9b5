package debugpage

import (
	"bytes"
	"fmt"
	"html/template"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Many executors are shown as a list, a line each: nobody can look at a thousand pages, and nobody should pay for them.

// maxSections is how many executors are shown in full on one page.
const maxSections = 16

// row is a line of the list.
type row struct {
	Name, Link string
	executor.Stats
}

func rowsOf(all []*executor.Executor) []row {
	rows := make([]row, len(all))
	for i, e := range all {
		rows[i] = row{Name: e.Name(), Link: "?executor=" + url.QueryEscape(e.Name()), Stats: e.Stats()}
	}
	return rows
}

// renderList renders the list as a fragment.
func renderList(all []*executor.Executor) []byte {
	return pageTemplate().render("list.html", struct {
		Rows      []row
		Bulkheads []executor.BulkheadStats
	}{rowsOf(all), bulkheads()})
}

func renderListPage(all []*executor.Executor) []byte {
	return renderWhole("executors", "?", nil, template.HTML(renderList(all)))
}

func renderTextList(all []*executor.Executor) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d executors; ?executor=NAME shows one of them\n\n", len(all))
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "running\tof slots\tqueued\twaiting\tsubmitted\tname")
	for _, r := range rowsOf(all) {
		fmt.Fprintf(columns, "%d\t%d\t%d\t%d\t%d\t%s\n", r.Running, r.Slots, r.Queued, r.Waiting, r.Submitted, printable(r.Name))
	}
	_ = columns.Flush()
	writeTextBulkheads(&b)
	return b.Bytes()
}

// renderWhole renders the page around sections. The time is that of the latest look.
func renderWhole(title, query string, names []pageLink, sections ...template.HTML) []byte {
	p := pageTemplate()
	return p.render("page.html", struct {
		Title, Time, JSON, Text string
		Names                   []pageLink
		Sections                []template.HTML
		Style                   template.CSS
		Script                  template.JS
	}{
		Title: title, Time: time.Now().Format(time.TimeOnly), JSON: query + "format=json", Text: query + "format=text",
		Names: names, Sections: sections, Style: template.CSS(p.style), Script: template.JS(p.script),
	})
}
