package verify

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/rig"
)

func names(list []Fault) (names []string) {
	for _, f := range list {
		names = append(names, f.Name)
	}
	return names
}

func TestSchedule_ASeedGivesTheSameOrderAndRoundsLeaveNothingOut(t *testing.T) {
	list, err := choose(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	draw := func(seed uint64) (got []Fault) {
		s := newSchedule(list, seed)
		for range 2 * len(list) {
			got = append(got, s.next())
		}
		return got
	}
	one, same, other := names(draw(1)), names(draw(1)), names(draw(2))
	if !slices.Equal(one, same) || slices.Equal(one, other) {
		t.Errorf("seed 1 gave %v and %v, seed 2 %v: want the first two the same, and not the third", one, same, other)
	}
	for i, round := range [][]string{one[:len(list)], one[len(list):]} {
		all := names(list)
		slices.Sort(round)
		slices.Sort(all)
		if !slices.Equal(round, all) {
			t.Errorf("round %d has %v, want %v", i, round, all)
		}
	}
}

func TestChoose_TakesWhatThereIsAlone(t *testing.T) {
	without, err := choose(nil, false)
	if err != nil || slices.Contains(names(without), "redis-failover") {
		t.Errorf("choose without Sentinels = %v, %v; want no failover", names(without), err)
	}
	if got, err := choose([]string{"drain", "node-kill"}, false); err != nil || !slices.Equal(names(got), []string{"drain", "node-kill"}) {
		t.Errorf("choose = %v, %v; want the two", names(got), err)
	}
	for _, bad := range []string{"redis-failover", "earthquake"} {
		if _, err := choose([]string{bad}, false); err == nil {
			t.Errorf("choose(%s) without Sentinels: no error", bad)
		}
	}
}

// Two rounds of everything fit ten minutes, with pauses and what recoveries take on a busy machine.
func TestFaults_TenMinutesShowEachTwice(t *testing.T) {
	const recovery = 3 * time.Second
	total := calmFirst + calmLast
	for _, f := range faults() {
		if f.beside == 0 {
			total += 2 * (f.full + recovery + calmBetween)
		} else {
			total += 2 * (f.before() + f.quiet + calmBetween)
		}
	}
	if total > 10*time.Minute {
		t.Errorf("two rounds take %v, want at most 10 minutes", total)
	}
}

// waysOf is a prober with two nodes, the results of whose probes a test writes down.
func waysOf(results ...[]result) *prober {
	p := &prober{out: make(map[string]*probe)}
	for i, r := range results {
		p.ways = append(p.ways, &way{node: i, recent: r})
		p.alive = append(p.alive, true)
	}
	return p
}

// probes are results, one each tenth of a second from the first second on: + came through in 10 ms, - did not.
func probes(pattern string) (list []result) {
	for i, c := range pattern {
		sent := at(1) + time.Duration(i)*probeEvery
		list = append(list, result{sent, sent + 10*time.Millisecond, c == '+'})
	}
	return list
}

func TestProber_RecoveredWhenEveryLivingWayIsOpenForGood(t *testing.T) {
	for _, c := range []struct {
		name     string
		one, two string
		dead     bool // the second node
		want     time.Duration
		ok       bool
	}{
		{"never broken", "++++++", "++++++", false, at(1.01), true},
		{"one came later", "++++++++", "---+++++", false, at(1.31), true},
		{"it broke again", "+++++--++", "+++++++++", false, 0, false},
		{"and came back", "+++++--+++++", "++++++++++++", false, at(1.71), true},
		{"too few to tell", "++++", "++++", false, 0, false},
		{"a dead node is not waited for", "++++++", "------", true, at(1.01), true},
	} {
		p := waysOf(probes(c.one), probes(c.two))
		p.alive[1] = !c.dead
		if got, ok := p.recovered(at(1)); got != c.want || ok != c.ok {
			t.Errorf("%s: recovered = %v, %v, want %v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
	if _, ok := waysOf(probes("+++++")).recovered(at(1.1)); ok {
		t.Error("what was sent before counts")
	}
}

func TestProber_TellsOutages(t *testing.T) {
	p := waysOf(probes("++--++-+++"), probes("++++++++++"))
	p.l = &load{o: LoadOptions{URLs: []string{"a", "b"}}}
	got := p.outages(at(0), at(100))
	want := []Outage{{"a", at(1.2), at(1.31)}, {"a", at(1.6), at(1.61)}}
	if !slices.Equal(got, want) {
		t.Errorf("outages = %v, want %v", got, want)
	}
}

// A node that hangs closes nobody: its silent clients would be found too late, and that is no fault of the broker's.
func TestStage_NodesOfSilentClientsAreNotMadeToHang(t *testing.T) {
	s := &stage{cluster: &rig.Cluster{Nodes: make([]*rig.Node, 3)}, rng: rand.New(rand.NewPCG(1, 2))}
	s.hush(0)
	s.hush(1)
	for range 20 {
		if i, _ := s.awake(); i != 2 {
			t.Fatalf("node %d is to hang, and its clients are silent", i)
		}
	}
	s.unhush(0)
	s.hush(2)
	for range 20 {
		if i, _ := s.awake(); i != 0 {
			t.Fatalf("node %d is to hang, and its clients are silent", i)
		}
	}
	s.hush(0) // all of them: any will do
	s.awake()
}
