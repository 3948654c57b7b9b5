package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"
)

const keys = "keys: up, down  choose   enter  open   esc  back   tab  next table   left, right  sort by   r  reverse   /  filter   p  pause   q  quit"

var (
	plain = tcell.StyleDefault
	soft  = plain.Dim(true)
	red   = plain.Foreground(tcell.ColorRed)
)

// watch shows the page until q is pressed or ctx is done.
func watch(ctx context.Context, screen tcell.Screen, p *page, m *model, every time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, quit := make(chan tcell.Event), make(chan struct{})
	go screen.ChannelEvents(events, quit)
	defer close(quit)

	type result struct {
		name string
		look look
		err  error
	}
	results := make(chan result, 1)
	busy := false
	ask := func() {
		if busy || m.paused {
			return
		}
		busy = true
		name := m.name
		go func() {
			l, err := p.look(ctx, name)
			results <- result{name, l, err}
		}()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	ask()
	for {
		draw(screen, m)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ask()
		case r := <-results:
			busy = false
			if r.name == m.name {
				m.put(r.look, r.err)
			} else { // another one was chosen meanwhile
				ask()
			}
		case event, ok := <-events:
			if !ok {
				return
			}
			before := m.name
			switch event := event.(type) {
			case *tcell.EventResize:
				screen.Sync()
			case *tcell.EventKey:
				if !m.press(event) {
					return
				}
			}
			if m.name != before {
				ask()
			}
		}
	}
}

// press does what a key is for. It reports false for the end.
func (m *model) press(key *tcell.EventKey) bool {
	if key.Key() == tcell.KeyCtrlC {
		return false
	}
	if m.typing {
		switch {
		case key.Key() == tcell.KeyEnter:
			m.typing = false
		case key.Key() == tcell.KeyEscape:
			m.typing, m.filter = false, ""
		case key.Key() == tcell.KeyBackspace || key.Key() == tcell.KeyBackspace2:
			if runes := []rune(m.filter); len(runes) > 0 {
				m.filter = string(runes[:len(runes)-1])
			}
		case key.Key() == tcell.KeyRune:
			m.filter += string(key.Rune())
		}
		return true
	}
	switch key.Key() {
	case tcell.KeyUp:
		m.selected--
	case tcell.KeyDown:
		m.selected++
	case tcell.KeyPgUp:
		m.selected -= 20
	case tcell.KeyPgDn:
		m.selected += 20
	case tcell.KeyHome:
		m.selected = 0
	case tcell.KeyEnd:
		m.selected = 1 << 30
	case tcell.KeyLeft:
		m.sort(-1)
	case tcell.KeyRight:
		m.sort(1)
	case tcell.KeyTab:
		m.table, m.selected = (m.table+1)%len(m.tables()), 0
	case tcell.KeyEnter:
		if t := m.shown(); t.title == "executors" && len(t.rows) > 0 {
			for _, b := range m.look.all.Executors {
				if printable(b.Name) == t.rows[m.selected][0].text {
					m.open(b.Name)
				}
			}
		}
	case tcell.KeyEscape:
		if m.filter != "" {
			m.filter = ""
		} else {
			m.open("")
		}
	case tcell.KeyRune:
		switch key.Rune() {
		case 'q':
			return false
		case 'k':
			m.selected--
		case 'j':
			m.selected++
		case 'r':
			m.reverse()
		case '/':
			m.typing, m.filter = true, ""
		case 'p':
			m.paused = !m.paused
		}
	}
	return true
}

// open shows one executor, or the overview.
func (m *model) open(name string) {
	m.name, m.table, m.selected, m.filter = name, 0, 0, ""
	if name == "" {
		m.look.one = nil
	}
}

func draw(screen tcell.Screen, m *model) {
	screen.Clear()
	width, height := screen.Size()
	y := 0
	for _, line := range m.head() {
		style := plain
		if line.bad {
			style = red
		}
		for _, text := range wrap(line.text, width) {
			if y >= max(1, (height-3)/2) { // the table has the other half
				break
			}
			put(screen, 0, y, width, text, style)
			y++
		}
	}
	t := m.shown()
	y++
	put(screen, 0, y, width, fmt.Sprintf("%s (%d)  %s", t.title, len(t.rows), m.status()), soft)
	y++
	widths := widthsOf(&t)
	s, sorted := m.sorts[t.title]
	x := 0
	for i, name := range t.columns {
		style := plain.Bold(true)
		if sorted && s.column == i {
			name += map[bool]string{true: "v", false: "^"}[s.down]
			style = style.Underline(true)
		}
		put(screen, x, y, min(width, x+widths[i]), name, style)
		x += widths[i] + 2
	}
	y++
	room := height - y - 1
	first := max(0, m.selected-room+1)
	for i := first; i < len(t.rows) && i-first < room; i++ {
		x := 0
		for j, c := range t.rows[i] {
			style := plain
			if c.bad {
				style = red
			}
			put(screen, x, y+i-first, min(width, x+widths[j]), c.text, style.Reverse(i == m.selected))
			x += widths[j] + 2
		}
	}
	put(screen, 0, height-1, width, keys, soft)
	screen.Show()
}

func (m *model) status() string {
	text := ""
	if !m.look.at.IsZero() {
		text = "as of " + m.look.at.Format(time.TimeOnly)
	}
	if m.paused {
		text += ", paused"
	}
	if m.typing || m.filter != "" {
		text += ", filter: " + printable(m.filter)
	}
	return text
}

// wrap breaks a line between words, where it is too wide.
func wrap(text string, width int) []string {
	var lines []string
	line, at := "", 0
	rest, segment, boundaries, state := text, "", 0, -1
	for rest != "" {
		segment, rest, boundaries, state = uniseg.StepString(rest, state)
		if wide := boundaries >> uniseg.ShiftWidth; at+wide > width && line != "" {
			head, tail := line, ""
			if space := strings.LastIndexByte(strings.TrimRight(line, " "), ' '); space > len(line)/2 {
				head, tail = line[:space], line[space+1:]
			}
			lines = append(lines, head)
			line, at = tail, uniseg.StringWidth(tail)
		}
		line += segment
		at += boundaries >> uniseg.ShiftWidth
	}
	return append(lines, line)
}

func widthsOf(t *table) []int {
	widths := make([]int, len(t.columns))
	for i, name := range t.columns {
		widths[i] = len(name) + 1
	}
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = min(max(widths[i], uniseg.StringWidth(c.text)), 48)
		}
	}
	return widths
}

// put writes text from x to end.
func put(screen tcell.Screen, x, y, end int, text string, style tcell.Style) {
	for g := uniseg.NewGraphemes(text); g.Next(); {
		wide := g.Width()
		if x+wide > end {
			return
		}
		runes := g.Runes()
		screen.SetContent(x, y, runes[0], runes[1:], style)
		x += wide
	}
}
