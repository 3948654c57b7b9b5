package debugpage

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-97bda89a/executor"
)

// Many executors are shown as a list, a line each: nobody can look at a thousand pages, and nobody should pay for them.

// maxSections is how many executors are shown in full on one page.
const maxSections = 16

// renderList renders the list as a fragment.
func renderList(all []*executor.Executor) []byte {
	return pageTemplate().render("list.html", overviewOf(all))
}

func renderListPage(all []*executor.Executor) []byte {
	return renderWhole("executors", "?", nil, template.HTML(renderList(all)))
}

func renderTextList(all []*executor.Executor) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d executors; ?executor=NAME shows one of them\n\n", len(all))
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "state\trunning\tof slots\tqueued\toldest\twaiting\tper s\tadvice\tname")
	for _, r := range overviewOf(all).Executors {
		fmt.Fprintf(columns, "%s\t%d\t%d\t%d\t%s\t%d\t%s\t%s\t%s\n", r.State, r.Running, r.Slots, r.Queued, measuredText(r.Oldest), r.Waiting,
			countText(r.Rate), strings.Join(r.Advice, " "), printable(r.Name))
	}
	_ = columns.Flush()
	writeTextBulkheads(&b)
	writeTextTables(&b)
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
