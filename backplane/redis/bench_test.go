package redis

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/internal/testenv"
)

// BenchmarkAnnounce is the cost of a message, announced and received by one node: cpu-µs/op of this process (both ends)
// and redis-µs/op of Redis. inflight is how many announces are unanswered at once; 1 is what a node without
// pipelining would do. client=pool is go-redis's own Publish and Subscribe, for comparison.
func BenchmarkAnnounce(b *testing.B) {
	addr := testenv.Redis(b)
	for _, size := range []int{128, 4096} {
		data := make([]byte, size)
		for _, inflight := range []int{1, 16, 256} {
			b.Run("size="+strconv.Itoa(size)+"/inflight="+strconv.Itoa(inflight)+"/client=line", func(b *testing.B) {
				benchmarkLine(b, addr, data, inflight)
			})
		}
		b.Run("size="+strconv.Itoa(size)+"/inflight=16/client=pool", func(b *testing.B) { benchmarkPool(b, addr, data, 16) })
	}
}

func benchmarkLine(b *testing.B, addr string, data []byte, inflight int) {
	n := openNode(b, Options{URL: "redis://" + addr, Prefix: "b" + strconv.Itoa(b.N) + ":"}, "a")
	defer n.Close()
	r := &counter{want: b.N, all: make(chan struct{})}
	n.Listen(r)
	joined := make(chan error, 1)
	n.Join(topic(1), func(err error) { joined <- err })
	if err := <-joined; err != nil {
		b.Fatal(err)
	}
	room := make(chan struct{}, inflight)
	measure(b, addr, func() {
		for range b.N {
			room <- struct{}{}
			n.Announce(&backplane.Copy{Channel: topic(1), MessageID: "0123456789abcdef", Data: data, QoS: 1, Node: "a"}, false, func(err error) {
				if err != nil {
					b.Error(err)
				}
				<-room
			})
		}
		<-r.all
	})
}

func benchmarkPool(b *testing.B, addr string, data []byte, inflight int) {
	ctx := context.Background()
	client := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2, PoolSize: inflight})
	defer client.Close()
	sub := client.Subscribe(ctx, "bench")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		b.Fatal(err)
	}
	var work sync.WaitGroup
	measure(b, addr, func() {
		work.Go(func() {
			for range b.N {
				if _, err := sub.ReceiveMessage(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
		todo := make(chan struct{}, inflight)
		for range inflight {
			work.Go(func() {
				for range todo {
					if err := client.Publish(ctx, "bench", data).Err(); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for range b.N {
			todo <- struct{}{}
		}
		close(todo)
		work.Wait()
	})
}

// counter is a Receiver that waits for so many copies.
type counter struct {
	want int
	all  chan struct{}
}

func (c *counter) Copies(cs []*backplane.Copy) {
	if c.want -= len(cs); c.want == 0 {
		close(c.all)
	}
}
func (*counter) Note(*backplane.Note)       {}
func (*counter) Heads(*backplane.Heads)     {}
func (*counter) Command(*backplane.Command) {}
func (*counter) Link(bool)                  {}

// measure reports what a run costs this process and Redis.
func measure(b *testing.B, addr string, run func()) {
	b.Helper()
	b.ReportAllocs()
	own, redis := ownCPU(b), redisCPU(b, addr)
	b.ResetTimer()
	run()
	b.StopTimer()
	b.ReportMetric(float64((ownCPU(b)-own).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64((redisCPU(b, addr)-redis).Microseconds())/float64(b.N), "redis-µs/op")
}

func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// redisCPU is what the server's process has used, by /proc.
func redisCPU(b *testing.B, addr string) time.Duration {
	client := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2})
	defer client.Close()
	said, err := client.Info(context.Background(), "server").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(said, "process_id:")
	pid, _, _ := strings.Cut(rest, "\r")
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // ticks of 1/100 s
}
