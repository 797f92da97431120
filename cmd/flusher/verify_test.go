// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/audit"
	"github.com/writebehind/operator/test/servers"
)

// compared runs verify or repair, which must end with the code.
func (o *office) compared(code int, command string, args ...string) *compared {
	o.t.Helper()
	got, out, problems := ask(o.t, append([]string{command, "-o", "json", "--rate", "0", "--config", o.File}, args...)...)
	if got != code {
		o.t.Fatalf("%s %q: exit code %d, want %d\n%s%s", command, args, got, code, out, problems)
	}
	var c compared
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		o.t.Fatalf("%v: %s", err, out)
	}
	return &c
}

func (c *compared) kinds() []string {
	var kinds []string
	for _, d := range c.Items {
		kinds = append(kinds, strings.TrimSpace(fmt.Sprintf("%s %s %s", d.Kind, d.Key, strings.Join(d.Columns, " "))))
	}
	slices.Sort(kinds)
	return kinds
}

// differ fails unless these are the differences.
func (o *office) differ(c *compared, want ...string) {
	o.t.Helper()
	if got := c.kinds(); !slices.Equal(got, want) || !c.Ended {
		o.t.Errorf("the differences are %q, want %q: %+v", got, want, c)
	}
}

func TestVerifyFindsWhatDiffersAndRepairFlushesIt(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	for i := range 300 {
		o.set(fmt.Sprintf("product:%d", i), fmt.Sprintf(`{"name":"p%d","stock":%d,"price":1.5}`, i, i))
	}
	o.set("n:7", `{"name":"seven"}`)
	o.set("product:bad", `{"stock":-1}`)
	o.becomes("product:bad", audit.StateDead)
	o.eventually("all is flushed", func() error {
		if c := o.compared(0, "verify"); c.OnItsWay > 0 || c.Keys != 302 || c.Dead != 1 || c.Same != 301 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	o.Database.Exec(t, `DELETE FROM products WHERE id IN ('1', '2'); UPDATE products SET stock = 0, price = NULL WHERE id = '3';
		UPDATE products SET price = 1.500 WHERE id = '4'; INSERT INTO products (id) VALUES ('extra'); UPDATE numbers SET name = 'eight'`)
	o.do(`SET product:odd no-document`)
	missing := []string{"different n:7 name", "different product:3 stock price", "missing product:1", "missing product:2", "unfit product:odd"}
	o.differ(o.compared(command.ExitDifferent, "verify"), missing...)
	o.differ(o.compared(command.ExitDifferent, "verify", "--extra"), slices.Sorted(slices.Values(append([]string{"extra product:extra"}, missing...)))...)
	o.differ(o.compared(command.ExitDifferent, "verify", "--queue", "numbers"), "different n:7 name")
	o.differ(o.compared(command.ExitDifferent, "verify", "--prefix", "product:1"), "missing product:1")
	o.differ(o.compared(command.ExitDifferent, "verify", "product:2", "product:5"), "missing product:2")
	_, text, _ := ask(t, "verify", "product:5", "product:nobody", "--config", o.File)
	says(t, text, "keys compared: 2, missing: 0, different: 0, unfit: 0, on their way: 0, dead letters: 0, not in Redis: 1")
	if c := o.compared(command.ExitDifferent, "verify", "--most", "1"); len(c.Items) != 1 || c.NotListed != 4 {
		t.Errorf("--most 1 lists %+v", c)
	}
	if c := o.compared(0, "verify", "--queue", "products", "--sample", "0.000001"); c.Keys > 5 {
		t.Errorf("a sample of a millionth has %d keys", c.Keys)
	}
	o.differ(o.compared(command.ExitDifferent, "repair", "--all", "--dry-run"), missing...)
	o.differ(o.compared(command.ExitDifferent, "verify"), missing...)
	if c := o.compared(command.ExitDifferent, "repair", "--all"); c.Marked != 4 {
		t.Errorf("of four keys %d are marked", c.Marked)
	}
	o.eventually("what was marked is flushed", func() error {
		if c := o.compared(command.ExitDifferent, "verify", "--extra"); !slices.Equal(c.kinds(), []string{"extra product:extra", "unfit product:odd"}) || c.OnItsWay > 0 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	_, text = o.explained(0, "product:3")
	says(t, text, "Row: is as Redis has it", "stock 3 3")
	// The time to live of a key that is repaired is as that of any write.
	if left := o.app.PTTL(t.Context(), "product:3").Val(); left <= 0 {
		t.Errorf("after its flush the key lives for %v", left)
	}
}

// TestVerifyRaisesNoFalseAlarm has an application that writes all the time, and rows that come a
// while later.
func TestVerifyRaisesNoFalseAlarm(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *office{"Functions": openFunctions, "Replication": openOffice} {
		t.Run(name, func(t *testing.T) {
			o := open(t)
			o.start()
			write := func(i int) {
				key, value := fmt.Sprintf("product:%d", i%50), fmt.Sprintf(`{"name":"p%d","stock":%d}`, i, i)
				if name == "Functions" {
					o.set(key, value)
				} else {
					o.do("SET " + key + " " + value)
				}
			}
			write(1)
			ended, stop := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						write(i)
					}
				}
			}()
			for range 3 {
				if c := o.compared(0, "verify", "--queue", "products"); c.Keys == 0 {
					t.Errorf("nothing was compared: %+v", c)
				}
			}
			close(stop)
			<-ended
			o.stop()
			write(7)
			// What nobody flushes is on its way.
			if c := o.compared(0, "verify", "--queue", "products"); c.OnItsWay == 0 {
				t.Errorf("what was written while no flusher runs is not on its way: %+v", c)
			}
		})
	}
}

func TestVerifyAndRepairOfReplication(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.start()
	o.do(`SET product:1 {"name":"pen","stock":1}`, `SET product:2 {"name":"ink","stock":2}`, `HSET session:1 name ann visits 3`, `HSET session:2 name bob`,
		`ZADD board:1 5 ann 7 bob`, `ZADD board:2 5 ann 200 eve`, `XADD events:1 1-1 kind good`, `XADD events:1 2-1 kind fine`)
	o.letters("scores board:2 eve")
	if c := o.compared(0, "verify"); c.Same != 6 || c.Dead != 1 || c.Keys != 7 {
		t.Errorf("of keys that are flushed it says %+v", c)
	}
	o.Database.Exec(t, `DELETE FROM products WHERE id = '1'; UPDATE sessions SET visits = 4 WHERE id = '1'; UPDATE sessions SET visits = 9 WHERE id = '2';
		DELETE FROM scores WHERE player = 'bob'; INSERT INTO scores VALUES ('1', 'zoe', 3), ('9', 'gone', 1); DELETE FROM events WHERE id = '2-1';
		INSERT INTO events VALUES ('1', '0-1', 'trimmed')`)
	want := []string{"different board:1", "different events:1", "different session:1 visits", "different session:2 visits", "missing product:1"}
	o.differ(o.compared(command.ExitDifferent, "verify"), want...)
	o.differ(o.compared(command.ExitDifferent, "verify", "--extra"), slices.Insert(slices.Clone(want), 4, "extra board:9")...)
	if c := o.compared(0, "repair", "--all"); c.Marked != 5 {
		t.Errorf("of five keys %d are marked: %+v", c.Marked, c)
	}
	o.eventually("what was marked is flushed", func() error {
		code, out, problems := ask(t, "verify", "-o", "json", "--config", o.File)
		var c compared
		if err := json.Unmarshal([]byte(out), &c); err != nil || code != 0 || c.OnItsWay > 0 {
			return fmt.Errorf("exit code %d: %s%s", code, out, problems)
		}
		return nil
	})
	// One of a key that is not there comes to nothing, and goes.
	records := openRecords(o.Config)
	defer records.close()
	if done, err := records.records.Reread(t.Context(), records.source, "products", []string{"product:none"}); err != nil || !done[0] {
		t.Fatalf("%v, %v", done, err)
	}
	o.eventually("the wish goes", func() error {
		if n := o.Database.Value(t, `SELECT count(*) FROM writebehind.dead_letter WHERE operation = 'reread'`); n != "0" {
			return fmt.Errorf("%s wishes are there", n)
		}
		return nil
	})
	// A wish is no dead letter, and goes with what came of it.
	o.letters("scores board:2 eve")
	if n := o.Database.Value(t, `SELECT count(*) FROM writebehind.dead_letter`); n != "1" {
		t.Errorf("%s letters are left", n)
	}
	_, text := o.explained(0, "board:1")
	says(t, text, "Row: of ann is as Redis has it", "Row: of bob is as Redis has it")
	if strings.Contains(text, "zoe") {
		t.Errorf("a member that Redis does not have has its row still\n%s", text)
	}
}

func TestVerifyRefusesWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"repair without a scope": {[]string{"repair"}, "give keys, --queue or --prefix, or --all"},
		"repair with both":       {[]string{"repair", "--all", "product:1"}, "give one of the two"},
		"keys and a queue":       {[]string{"verify", "product:1", "--queue", "products"}, "give one of the two"},
		"no such queue":          {[]string{"verify", "--queue", "carts"}, "give a mapping of the config: products, items"},
		"no such prefix":         {[]string{"verify", "--prefix", "cart:"}, "give one that begins with product:, item/"},
		"no such key":            {[]string{"verify", "cart:1"}, "give one that begins with product:, item/"},
		"empty prefix":           {[]string{"repair", "--prefix", ""}, "without a scope"},
		"empty queue":            {[]string{"verify", "--queue="}, `--queue: "" is not allowed`},
		"sample":                 {[]string{"verify", "--sample", "1.5"}, `--sample: "1.5" is not allowed`},
		"no sample":              {[]string{"verify", "--sample", "0"}, "give more than 0 and at most 1"},
		"rate":                   {[]string{"verify", "--rate", "-1"}, `--rate: "-1" is not allowed`},
		"output":                 {[]string{"verify", "-o", "xml"}, "give table or json"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, problems := ask(t, append(c.args, "--config", p.file)...)
			if code != 2 || out != "" || !strings.Contains(problems, c.want) {
				t.Errorf("exit code %d, %q, %q; want 2 and %q", code, out, problems, c.want)
			}
		})
	}
	// A server that is away ends the work.
	p.must(p.rdb.Set(t.Context(), "product:1", "{}", 0).Err())
	if code, out, problems := ask(t, "verify", "--config", p.file); code != command.ExitFailed || !strings.Contains(problems, "queue products: PostgreSQL: ") || !strings.Contains(out, "keys compared: 0") {
		t.Errorf("exit code %d, %q, %q", code, out, problems)
	}
}

// A key that is given twice is one key, for a command that says how many it has left.
func TestAKeyIsRepairedOnce(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	o.do(`SET product:1 {"name":"pen"}`)
	if c := o.compared(0, "repair", "product:1", "product:1"); c.Marked != 1 || c.Keys != 1 {
		t.Errorf("of one key %d are compared, and %d marked", c.Keys, c.Marked)
	}
}

// A repair leaves room for the writes of the application, and goes on as what it has marked is
// flushed.
func TestARepairFillsNoQueue(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.Config.Backpressure.MaxQueueDepth, o.Config.Backpressure.WarningQueueDepth, o.Config.Backpressure.CriticalQueueDepth = 10, 1, 2
	servers.Put(t, o.File, o.Config)
	o.start()
	for i := range 40 {
		o.do(fmt.Sprintf(`SET product:%d {"name":"p%d"}`, i, i))
	}
	if c := o.compared(0, "repair", "--all"); c.Marked != 40 {
		t.Errorf("of 40 keys %d are marked", c.Marked)
	}
	o.eventually("all are rows", func() error {
		if n := o.Database.Value(t, `SELECT count(*) FROM products`); n != "40" {
			return fmt.Errorf("%s are", n)
		}
		return nil
	})
}

// A sample is told as one, and picks keys, however many rows each has.
func TestASampleIsToldAsOne(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.start()
	o.Database.Exec(t, `INSERT INTO scores SELECT 'gone', 'p' || n, 1 FROM generate_series(1, 10000) n`)
	found := 0
	for range 2 {
		c := o.compared(0, "verify", "--extra", "--sample", "0.001", "--queue", "scores")
		found += int(c.Extra)
		if c.Sample != 0.001 {
			t.Errorf("the document says that the share is %v", c.Sample)
		}
	}
	if found == 2 {
		t.Error("one key among a thousand is picked each time, since it has many rows")
	}
	if _, out, _ := ask(t, "verify", "--sample", "0.001", "--rate", "0", "--config", o.File); !strings.Contains(out, "a sample of 0.001 of the keys: keys compared: ") {
		t.Errorf("a person is told\n%s", out)
	}
	if code, _, problems := ask(t, "verify", "product:1", "--sample", "0.5", "--config", o.File); code != command.ExitUnusable || !strings.Contains(problems, "--sample") {
		t.Errorf("of a sample of named keys: exit code %d, %s", code, problems)
	}
}

// A command in a pod gets no signal when whoever runs it has gone.
func TestACommandEndsWithItsInput(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	for i := range 100 {
		o.do(fmt.Sprintf("SET product:%d x", i))
	}
	in, end := io.Pipe()
	var out, problems bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- run(t.Context(), []string{"verify", "--until-stdin-ends", "--rate", "1", "--config", o.File}, command.Streams{In: in, Out: &out, Problems: &problems})
	}()
	_ = end.Close()
	if code := <-ended; code != command.ExitFailed || !strings.Contains(problems.String(), "interrupted") || !strings.Contains(out.String(), "keys compared: ") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), problems.String())
	}
}

// A queue whose table does not fit, or whose journal is not there, keeps nobody from comparing the
// others.
func TestAQueueThatCannotBeComparedLeavesTheOthers(t *testing.T) {
	t.Parallel()
	o := openFunctions(t)
	o.start()
	o.do(`SET product:1 {"name":"pen"}`, `SET n:7 {"name":"seven"}`)
	o.stop()
	for _, breaks := range []func(){
		func() { o.Database.Exec(t, `ALTER TABLE products RENAME TO products_before`) },
		func() {
			o.Database.Exec(t, `ALTER TABLE products_before RENAME TO products`)
			o.do("DEL wb:{products}:queue")
		},
	} {
		breaks()
		code, out, problems := ask(t, "verify", "--config", o.File)
		if code != command.ExitFailed || !strings.Contains(problems, "queue products: ") || !strings.Contains(out, "missing    n:7") {
			t.Errorf("exit code %d\n%s%s", code, out, problems)
		}
	}
}
