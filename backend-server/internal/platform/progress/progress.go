// Package progress tells how far a long command has come: on a terminal a bar
// that is drawn again and again, elsewhere a line now and then, so that a log
// is not filled with it.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	drawEvery = 100 * time.Millisecond
	lineEvery = 10 * time.Second
	width     = 30 // of the bar, in characters
)

// Bar is the progress of one command, which may have several parts. A nil Bar
// shows nothing. It may be used by many goroutines.
type Bar struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu          sync.Mutex
	what        string
	unit        Unit
	done, total int64
	begun, last time.Time
	drawn       bool
}

// Unit says how an amount is written.
type Unit func(n int64) string

// Count writes a plain number.
func Count(n int64) string { return fmt.Sprint(n) }

// Bytes writes a size with a binary unit.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/(1<<10), 0
	for v >= 1<<10 && i < len(units)-1 {
		v, i = v/(1<<10), i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}

// New returns a bar that is drawn on out if that is a terminal.
func New(out io.Writer) *Bar { return &Bar{out: out, terminal: isTerminal(out), now: time.Now} }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// Begin starts a part of the work. A total of 0 stands for an unknown one.
func (b *Bar) Begin(what string, total int64, unit Unit) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.what, b.unit, b.done, b.total = what, unit, 0, total
	b.begun = b.now()
	b.last = b.begun
}

// Add says that n more are done.
func (b *Bar) Add(n int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	now := b.now()
	every := lineEvery
	if b.terminal {
		every = drawEvery
	}
	if b.unit != nil && now.Sub(b.last) >= every {
		b.last = now
		b.draw(now)
	}
}

// End takes the bar away.
func (b *Bar) End() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
	b.unit = nil
}

// Write writes a message above the bar; it implements io.Writer.
func (b *Bar) Write(p []byte) (int, error) {
	if b == nil {
		return len(p), nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
	return b.out.Write(p)
}

func (b *Bar) erase() {
	if b.drawn {
		fmt.Fprint(b.out, "\r\x1b[K")
		b.drawn = false
	}
}

func (b *Bar) draw(now time.Time) {
	text := b.text(now)
	if !b.terminal {
		fmt.Fprintln(b.out, text)
		return
	}
	fmt.Fprint(b.out, "\r\x1b[K", text)
	b.drawn = true
}

func (b *Bar) text(now time.Time) string {
	took := now.Sub(b.begun).Round(time.Second)
	if b.total <= 0 {
		return fmt.Sprintf("%s: %s, %s", b.what, b.unit(b.done), took)
	}
	part := min(1, float64(b.done)/float64(b.total))
	full := int(part * width)
	left := ""
	if b.done > 0 && b.done < b.total {
		left = ", " + time.Duration(float64(now.Sub(b.begun))*(1-part)/part).Round(time.Second).String() + " left"
	}
	bar := ""
	if b.terminal {
		bar = " [" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
	}
	return fmt.Sprintf("%s:%s %3.0f%%, %s of %s, %s%s", b.what, bar, 100*part, b.unit(b.done), b.unit(b.total), took, left)
}
