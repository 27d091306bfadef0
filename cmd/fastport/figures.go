package main

import (
	"runtime/debug"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/backplane"
)

// describe is what each heartbeat says of the node besides its name.
func (n *Node) describe(self *backplane.Node) {
	n.pulse.Beat(time.Now(), n.engine.Stats())
	f := n.figures()
	if o := n.operator.Load(); o != nil {
		o.Sample(f)
	}
	self.Version, self.Figures = buildVersion(), f.Encode()
}

// figures is the node as it is now, for operators.
func (n *Node) figures() admin.Figures {
	f := admin.ReadFigures(n.engine.Stats().Connections)
	n.pulse.Fill(&f)
	f.Pending = n.engine.Pending().All()
	f.OutboxBytes = n.server.Stats().OutboxBytes
	h := n.health()
	f.Faults, f.Degraded = h.Faults, h.Degraded
	return f
}

// buildVersion is the one that the build was told, or the module's as far as the build knew it.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return or(info.Main.Version, "(devel)")
	}
	return "(devel)"
}
