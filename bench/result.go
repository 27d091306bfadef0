package main

// Result is one repetition.
type Result struct {
	Label    string    `json:"label"`
	Scenario string    `json:"scenario"`
	Rep      int       `json:"rep"`
	Dur      float64   `json:"dur_s"`
	Pub      uint64    `json:"published"`
	Deliv    uint64    `json:"delivered"`
	Acks     uint64    `json:"acked"`
	DelivS   float64   `json:"deliv_per_s"`
	AckS     float64   `json:"acked_per_s"`
	SrvCPU   float64   `json:"srv_cpu_s"`
	CPUPerM  float64   `json:"srv_cpu_s_per_M_deliv"`
	CliCPU   float64   `json:"cli_cpu_s"`
	RSS      int64     `json:"srv_rss_kb"`
	PeakRSS  int64     `json:"srv_peak_rss_kb,omitempty"`
	P50      float64   `json:"p50_us"`
	P99      float64   `json:"p99_us"`
	P999     float64   `json:"p999_us"`
	Max      float64   `json:"max_us"`
	OwnP50   float64   `json:"generator_p50_us,omitempty"`
	OwnP99   float64   `json:"generator_p99_us,omitempty"`
	Gaps     uint64    `json:"lost"`
	Dups     uint64    `json:"dups"`
	Late     uint64    `json:"out_of_order"`
	Errs     uint64    `json:"errors"`
	Closed   int       `json:"closed"`
	Stalls   int       `json:"stalls"`
	MBs      float64   `json:"MB_per_s,omitempty"`
	Growth   int64     `json:"srv_growth_kb,omitempty"`    // big: the peak of the process that grew most, above what it held before
	FreshRSS int64     `json:"srv_fresh_rss_kb,omitempty"` // idle: before the first connection
	RSSPer   float64   `json:"rss_bytes_per_further_conn,omitempty"`
	RSSFirst float64   `json:"rss_bytes_per_further_conn_at_once,omitempty"` // with the garbage of making it
	ConnS    float64   `json:"conns_per_s,omitempty"`
	CPUPerKC float64   `json:"srv_cpu_ms_per_conn,omitempty"`
	NodeCPU  []float64 `json:"node_cpu_s_per_M_of_its_deliv,omitempty"` // in the order of -pids: what a node's own subscribers cost it
	Redis    *redisUse `json:"redis,omitempty"`
	Stores   float64   `json:"stores_cpu_s,omitempty"` // of -stores, in no other figure
	First    float64   `json:"first_ms,omitempty"`     // backlog: from the connect to the first message
	Other    float64   `json:"other_cpu_s"`
	Steal    float64   `json:"steal_s"`
	OtherSrc string    `json:"other_src"`
	Note     string    `json:"note,omitempty"`
}
