// Command centrifuge is the small server on github.com/centrifugal/centrifuge that the comparison runs: anybody may
// subscribe and publish, nothing is kept. One node holds all in memory; with -redis, nodes are one broker.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	_ "net/http/pprof" // for collections before memory is read
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "loopback `address` to listen on")
	redis := flag.String("redis", "", "`URL` of the Redis that nodes share")
	delay := flag.Duration("write-delay", 0, "how long a connection's writer waits for company")
	flag.Parse()

	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelError, LogHandler: func(e centrifuge.LogEntry) { log.Println(e.Message, e.Fields) }})
	if err != nil {
		log.Fatal(err)
	}
	if *redis != "" {
		shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: *redis})
		if err != nil {
			log.Fatal(err)
		}
		broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
		if err != nil {
			log.Fatal(err)
		}
		node.SetBroker(broker)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{WriteDelay: *delay, MaxMessagesInFrame: -1}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			done(centrifuge.SubscribeReply{}, nil)
		})
		c.OnPublish(func(_ centrifuge.PublishEvent, done centrifuge.PublishCallback) { done(centrifuge.PublishReply{}, nil) })
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	anybody := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(centrifuge.SetCredentials(r.Context(), &centrifuge.Credentials{})))
		})
	}
	http.Handle("/connection/websocket", anybody(centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		UseWriteBufferPool: true, WriteTimeout: 10 * time.Second, CheckOrigin: func(*http.Request) bool { return true },
	})))
	log.Fatal(http.ListenAndServe(*addr, nil))
}
