package statement_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/statement"
	"github.com/pgam/pgam/internal/statement/canary"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"empty":                 {"", ""},
		"blank":                 {" \t\r\n\v\f\x00 ", ""},
		"only a comment":        {"-- hello", ""},
		"case and space":        {"SELECT  A,b\n\tFROM Public.T", "select a, b from public.t"},
		"quoted identifier":     {`select "Mixed ""Case""" from T`, `select "Mixed ""Case""" from t`},
		"unicode identifier":    {"select Größe from Tábla where é=1", "select größe from tábla where é = ?"},
		"unicode quoted":        {`select U&"d\0061t" from t`, `select u&"d\0061t" from t`},
		"closing semicolon":     {"select 1 ; ;", "select ?"},
		"two statements":        {"begin;;update t set a=1;", "begin; update t set a = ?"},
		"string":                {"select 'a' , 'it''s'", "select ?, ?"},
		"string, new line":      {"select 'a'\n -- c\n  'b', 1", "select ?, ?"},
		"string, same line":     {"select 'a' 'b'", "select ? ?"},
		"string, plain slash":   {`select 'C:\', x`, "select ?"},
		"string, two slashes":   {`select 'C:\\', x`, "select ?, x"},
		"string, slash, quotes": {`select 'a\'', secret`, "select ?"},
		"value, double quotes":  {`where a = "secret" and "b" <> "s" and c like "s%"`, `where a = ? and "b" <> ? and c like ?`},
		"names, double quotes":  {`select "a" + "b" from "t" join "u" on "t"."id" = "u" . "id" where "c" = 1`, `select "a" + "b" from "t" join "u" on "t"."id" = "u"."id" where "c" = ?`},
		"list, double quotes":   {`insert into t ("a", "b") values ("x", "y")`, `insert into t("a", "b") values (?, ?)`},
		"explain":               {"explain (analyze, format json) alter role bob password secret", "explain(analyze, format json) alter role bob password ?"},
		"explain a query":       {"explain analyze select password, a from t", "explain analyze select password, a from t"},
		"or replace":            {"create or replace function f() returns int set a.b to secret", "create or replace function f() returns int set a.b to ?"},
		"identified by":         {"grant all on t to bob identified by secret", "grant all on t to bob identified by ?"},
		"odd blanks":            {"\ufeffset\u00a0x to secret", "set x to ?"},
		"connection string":     {"host=db user=bob password=secret", "host = ?"},
		"address":               {"postgres://bob:secret@db/shop", "postgres ?"},
		"no command":            {"psql -h db password secret", "psql - h db password ?"},
		"string, escapes":       {`select E'it\'s', e'a\\', x`, "select ?, ?, x"},
		"string, unicode":       {`select U&'d\0061' UESCAPE '!'`, "select ? uescape ?"},
		"string, national":      {"select N'x', b'01', X'1F'", "select ?, ?, ?"},
		"string of a type":      {"select date '2026-01-01', interval'1 day'", "select date ?, interval ?"},
		"dollar quote":          {"select $$a'b$$, $t$ $$ ; $x$ $t$, x", "select ?, ?, x"},
		"dollar in identifier":  {"select a$b$c from t$1", "select a$b$c from t$1"},
		"parameters":            {"select * from t where a=$1 and b = $23", "select * from t where a = ? and b = ?"},
		"numbers":               {"select 1, 1.5, .5, 1., 1e5, 1.5E-7, 0x1F, 0b01, 0o17, 1_000", "select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"},
		"number, range":         {"for i in 1..10", "for i in ?..?"},
		"number, junk":          {"select 424242SECRET, 0xZZ, $1abc", "select ?, ?, ?"},
		"number, exponent":      {"select 1e+5+x, 0x1e-5", "select ? + x, ? - ?"},
		"negative":              {"select -5, a-5, a -5, a - -5, (-1.5), b[-1], +7", "select ?, a - ?, a - ?, a - ?, (?), b[?], ?"},
		"negative, words":       {"where a between -5 and -3 limit -1", "where a between ? and ? limit ?"},
		"negative, expression":  {"select -x, - - x, -(a), a * -b, 2 - -c", "select -x, -x, -(a), a * -b, ? - -c"},
		"constants":             {"where a = true and b is not null and c is true and d = NULL", "where a = ? and b is not null and c is true and d = ?"},
		"set null":              {"on delete set null", "on delete set null"},
		"cast":                  {"select '1'::int, a :: text, cast(2 as int), $1::int[]", "select ?::int, a::text, cast(? as int), ?::int[]"},
		"operators":             {"a<>b||c->>'d'#>>'{}'@>e", "a <> b || c ->> ? #>> ? @> e"},
		"operator and sign":     {"where a=-5 or b@-5 or c*-d", "where a = ? or b @- ? or c * -d"},
		"operator and comment":  {"a+--x\nb*/*y*/c", "a + b * c"},
		"question mark":         {"a ? 'k' and b ?| c and d=?", "a ? ? and b ?| c and d =?"},
		"slice, assignment":     {"a[1:2], b := 3, c => 4", "a[? : ?], b := ?, c => ?"},
		"star":                  {"select t . *, count(*), a*b from t", "select t.*, count(*), a * b from t"},
		"brackets":              {"select f (x), a and(b), (c)[1], array[1]", "select f(x), a and (b), (c)[?], array[?]"},
		"comments":              {"select /* a /* b */ c */ 1 -- d\n, 2", "select ?, ?"},
		"in":                    {"where a in (1,2, 3)", "where a in (?)"},
		"in, one":               {"where a in (1)", "where a in (?)"},
		"in, casts":             {"where a IN ('x'::uuid , 'y'::uuid)", "where a in (?::uuid)"},
		"in, negative":          {"where a in (-1, 2, - 3)", "where a in (?)"},
		"in, rows":              {"where (a,b) in ((1,2),(3,4),($1,$2))", "where (a, b) in ((?, ?))"},
		"in, mixed":             {"where a in (1,2,b,3,4)", "where a in (?, b, ?)"},
		"in, query":             {"where a in (select b, c from d where e in (1,2))", "where a in (select b, c from d where e in (?))"},
		"in, nested":            {"in (f(1,2), f(3,4), (select 1 where x in (5,6)))", "in (f(?, ?), (select ? where x in (?)))"},
		"in, empty":             {"in () and b in (,1)", "in () and b in (, ?)"},
		"array":                 {"any(array[1,2,3])", "any (array[?])"},
		"function arguments":    {"select f(1,2,3)", "select f(?, ?, ?)"},
		"values":                {"insert into t (a,b) values (1,'x'),(2,'y') , (3, null)", "insert into t(a, b) values (?, ?)"},
		"values, returning":     {"insert into t values (1),(2) returning a, b", "insert into t values (?) returning a, b"},
		"values, defaults":      {"values (1, default), (2, default), (3, 4)", "values (?, default), (?, ?)"},
		"values, derived":       {"select * from (values (1,2),(3,4)) v(a,b), w", "select * from (values (?, ?)) v(a, b), w"},
		"values, then a list":   {"with a as (values (1)), b as (values (2)) table a", "with a as (values (?)), b as (values (?)) table a"},
		"cut string":            {"select 'abc", "select ?"},
		"cut escape":            {`select E'abc\`, "select ?"},
		"cut dollar quote":      {"select $tag$abc $ta", "select ?"},
		"cut dollar tag":        {"select $ta", "select ?"},
		"cut dollar":            {"select $", "select ?"},
		"cut identifier":        {`select "abc`, "select ?"},
		"cut comment":           {"select a /* secret", "select a"},
		"cut exponent":          {"select 1e-", "select ?"},
		"cut list":              {"where a in (1, 'b", "where a in (?"},
		"cut list, comma":       {"where a in (1,", "where a in (?"},
		"cut list, mixed":       {"where a in (b, c, 1,", "where a in (b, c, ?,"},
		"cut values":            {"insert into t values (1, 2), (3, 'x", "insert into t values (?, ?)"},
		"cut values, nested":    {"values (1, array[2, 3]), (4, array[5, 6", "values (?, array[?])"},
		"unbalanced":            {"select a)) in (1,2]) , (3", "select a)) in (?]), (?"},
		"invalid UTF-8":         {"select \xff\"a\xc3\x28\x00b\", 'x\xff'", "select \uFFFD \"a\uFFFD(\uFFFDb\", ?"},
		"odd characters":        {`{ call x } \d`, `{ call x } \ d`},
		"set":                   {"SET x TO secretword", "set x to ?"},
		"set, equals":           {"set local my.var = secret, word; select 1", "set local my.var = ?; select ?"},
		"set, malformed":        {"set x secretword", "set x ?"},
		"set, time zone":        {"set session time zone Europe/Rome", "set session time zone ?"},
		"set, role":             {"set role admin", "set role ?"},
		"set, authorization":    {"set session authorization bob", "set session authorization ?"},
		"set, transaction":      {"set transaction isolation level read committed", "set transaction isolation level read committed"},
		"set, characteristics":  {"set session characteristics as transaction read only", "set session characteristics as transaction read only"},
		"set, a constant name":  {"set session true = 5", "set session ?"},
		"update set":            {"update t set password = secret", "update t set password = secret"},
		"role":                  {"ALTER ROLE bob WITH LOGIN ENCRYPTED PASSWORD 's' VALID UNTIL 'x'", "alter role bob with login encrypted password ?"},
		"role, no quotes":       {"create user bob password secret word", "create user bob password ?"},
		"role, double quotes":   {`create user bob password "secret"`, "create user bob password ?"},
		"role, setting":         {"alter role bob set search_path to a, b", "alter role bob set search_path to ?"},
		"role, limit":           {"alter role bob connection limit 3", "alter role bob connection limit ?"},
		"database, setting":     {"alter database d set x.y = secret", "alter database d set x.y = ?"},
		"system, setting":       {"alter system set primary_conninfo = secret", "alter system set primary_conninfo = ?"},
		"table, set":            {"alter table t alter c set default 5, alter d set not null", "alter table t alter c set default ?, alter d set not null"},
		"subscription":          {"create subscription s connection 'host=x' publication p", "create subscription s connection ?"},
		"subscription, alter":   {"alter subscription s connection host=x password=y", "alter subscription s connection ?"},
		"user mapping":          {"create user mapping for bob server s options (user 'a', password 'b')", "create user mapping for bob server s options ?"},
		"server":                {"alter server s options (set host secret)", "alter server s options ?"},
		"copy program":          {"copy t from program curl with csv", "copy t from program ?"},
		"copy":                  {"COPY t (a,b) FROM '/x' WITH (FORMAT csv)", "copy t(a, b) from ? with (format csv)"},
		"do":                    {"DO $$ begin secret; end $$", "do ?"},
		"column named password": {"select password, options from t", "select password, options from t"},
		"insufficient":          {"<insufficient privilege>", "< insufficient privilege >"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := statement.Normalize(tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Normalize(%q) (-want +got):\n%s", tt.in, diff)
			}
			if again := statement.Normalize(got); again != got {
				t.Errorf("Normalize is not idempotent: %q, then %q", got, again)
			}
			if statement.Fingerprint(tt.in) != statement.Fingerprint(got) {
				t.Errorf("fingerprints of %q and of its normal form differ", tt.in)
			}
		})
	}
}

// A fingerprint is stored: these values may never change.
func TestFingerprint_stable(t *testing.T) {
	t.Parallel()
	tests := map[string]uint64{
		"": 0xcbf29ce484222325,
		"select * from t where a = 1 and b in (2, 3)": 0x400a1e7dded72113,
	}
	for in, want := range tests {
		if got := statement.Fingerprint(in); got != want {
			t.Errorf("Fingerprint(%q) = %#x, want %#x", in, got, want)
		}
	}
}

func TestFingerprint_sameShape(t *testing.T) {
	t.Parallel()
	groups := map[string][]string{
		"literals": {
			"select * from t where a = 1 and b = 'x'",
			"SELECT *\nFROM t -- all\nWHERE a = -2.5e7 AND b = $tag$y$tag$;",
			"select * from t where a=$1 and b=$2",
		},
		"lists": {
			"insert into t (a) values (1)",
			"insert into t (a) values (1), (2), (3)",
			"insert into t (a) values ($1),($2)",
		},
		"cut in a literal": {
			"select * from t where a = 'one tw",
			"select * from t where a = 'one two thr",
			"select * from t where a = '",
			"select * from t where a = E'x\\",
			"select * from t where a = 12",
		},
		"cut in a list": {
			"select * from t where a in (1, 2, 3",
			"select * from t where a in ('a', 'b",
			"select * from t where a in (1,",
			"select * from t where a in (1",
		},
	}
	for name, texts := range groups {
		for _, text := range texts[1:] {
			if statement.Fingerprint(text) != statement.Fingerprint(texts[0]) {
				t.Errorf("%s: %q and %q have different fingerprints", name, texts[0], text)
			}
		}
	}
}

func TestFingerprint_differentShape(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for _, text := range []string{
		"select a from t", "select b from t", "select a from u", `select "A" from t`, "select a, a from t",
		"select a from t where b = 1", "select a from t where b <> 1", "select a from t where b = 1 or c = 1",
		"select a from t where b in (1)", "select a from t where b in (c)", "select f(1)", "select f(1, 2)",
		"select -a from t", "select a - b from t", "select a is null", "select a is not null",
		"insert into t values (1)", "insert into t values (1, 2)", "begin", "commit",
	} {
		sum := statement.Fingerprint(text)
		if other, ok := seen[sum]; ok {
			t.Errorf("%q and %q share a fingerprint", text, other)
		}
		seen[sum] = text
	}
}

// Every prefix of a statement must keep its secrets, whatever the cut.
func TestNormalize_everyCut(t *testing.T) {
	t.Parallel()
	text := `/* canary */ select 'canary', E'\'canary', $$canary$$, $canary$ canary $canary$, U&'canary', 12canary,
		x'canary' -- canary
		from "T" where a in ('canary', 'canary') and b = 'it''s canary'; set x to canary; alter user u password canary;
		create user mapping for u server s options (password 'canary'); copy t from program 'canary'`
	for cut := range len(text) {
		got := statement.Normalize(text[:cut])
		if strings.Contains(got, "canary") {
			t.Fatalf("cut at %d: a literal survives: %q", cut, got)
		}
		if again := statement.Normalize(got); again != got {
			t.Fatalf("cut at %d: not idempotent: %q, then %q", cut, got, again)
		}
	}
}

func TestFingerprint_doesNotAllocate(t *testing.T) {
	text := benchmarkText()
	if n := testing.AllocsPerRun(100, func() { statement.Fingerprint(text) }); n != 0 {
		t.Errorf("Fingerprint allocates %v times", n)
	}
}

// A long text of one thing must not take quadratic time.
func TestFingerprint_hostileText(t *testing.T) {
	t.Parallel()
	const size = 1 << 18
	for _, part := range []string{"+", "-+", "*+", "(", "in(", "'a'\n", "$a", "$a$", "/*", "1..", "values(", "?,", "in (1,", ";", `"`} {
		text := strings.Repeat(part, size/len(part))
		if statement.Fingerprint(text) == 0 {
			t.Errorf("a text of %q has fingerprint 0", part)
		}
	}
}

func benchmarkText() string {
	text := "SELECT o.id, o.created_at, c.name, sum(l.price * l.amount) AS total -- report 17\n" +
		"FROM orders o JOIN customers c ON c.id = o.customer_id JOIN order_lines l ON l.order_id = o.id\n" +
		"WHERE o.state IN ('new', 'paid', 'sent') AND o.created_at >= '2026-01-01'::timestamptz AND c.country = $1\n"
	for len(text) < 1000 {
		text += "AND l.price > 12.50 AND c.note NOT LIKE '%it''s%' /* why */\n"
	}

	return text[:1000]
}

func BenchmarkFingerprint(b *testing.B) {
	text := benchmarkText()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		statement.Fingerprint(text)
	}
}

func BenchmarkNormalize(b *testing.B) {
	text := benchmarkText()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		statement.Normalize(text)
	}
}

// Each way in which a secret was once kept is in the generator of those that
// must not be.
func TestNormalize_everyCanary(t *testing.T) {
	t.Parallel()
	for kind := range canary.Kinds {
		for _, before := range []string{"", "select a ", "; ", "explain ", "where b = "} {
			text := before + canary.Hide(kind, " x ")
			for cut := range len(text) + 1 {
				if got := statement.Normalize(text[:cut]); canary.Survives(got) {
					t.Fatalf("%d: %q gives %q", kind, text[:cut], got)
				}
			}
		}
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"psql": "psql", "app password=secret": "app password=?", "app PASSWORD: 'a secret' v2": "app PASSWORD: ? v2", "pg_dump token=abc,x": "pg_dump token=?,x",
		"postgres://bob:secret@db/shop": "postgres://bob:?@db/shop", "https://host/x": "https://host/x", "passenger": "passenger", "compass worker 7": "compass worker 7",
		`{"password":"secret","a":1}`: `{"password":?,"a":1}`, "pgpassword=s3cr;et": "pgpassword=?;et", "job password is secret": "job password is ?",
	} {
		if got := statement.Label(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
