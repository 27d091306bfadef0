// Package backplanetest is the one suite that every backplane passes: what its contract says, tried with several nodes.
package backplanetest

import (
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
)

// Cluster is a backplane under test, empty at first.
type Cluster interface {
	// Node adds a node. The suite closes it.
	Node(t *testing.T, id string) backplane.Backplane
	// Pass lets at least d go by on the clock of leases and windows: a fake one's, or the wall's.
	Pass(d time.Duration)
}

// Run runs the suite; open makes a new Cluster for each test.
func Run(t *testing.T, open func(t *testing.T) Cluster) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, c Cluster)
	}{
		{"ConcurrentAnnouncersGiveOneOrderToAllNodes", oneOrder},
		{"NoteNeverOvertakesItsCopy", noteBehindCopy},
		{"CopyArrivesWhole", copyWhole},
		{"NodesDoNotMeetInShared", sharedIsOnesOwn},
		{"AnnounceToNobodySucceeds", announceToNobody},
		{"ReceiverMayCallBack", callBack},
		{"JoinGetsEverythingAnnouncedAfterIt", joinThenEverything},
		{"OthersChannelsDoNotArrive", isolation},
		{"LeaveEndsDelivery", leave},
		{"FenceComesBehindWhatWasAnnouncedBefore", fence},
		{"FencesUnderWayTogetherEachHoldTheirPlace", fencesOverlap},
		{"FenceOutsideOfAChannelFails", fenceOutside},
		{"HeadsArrive", heads},
		{"CommandsReachEveryOtherNode", commands},
		{"PresenceCountsEveryLivingNode", presenceNodes},
		{"PresenceElsewhereLeavesOutOnesOwn", presenceElsewhere},
		{"PresenceEndsWithTheLease", presenceLease},
		{"PresenceKeepsSessionsApart", presenceSessions},
		{"NodesListsTheLiving", nodes},
		{"CountersAddUpAcrossNodes", countersAcross},
		{"CountersWindowBeginsWithTheFirstAdd", countersWindow},
		{"CountersResetForgets", countersReset},
		{"CountersLoseNothingConcurrently", countersConcurrent},
		{"LeaseHasOneHolder", leaseHasOneHolder},
		{"LeaseEndsUnlessRenewed", leaseEnds},
		{"LeaseClaimedByManyAtOnceIsOnes", leaseRace},
		{"CloseEndsJoinsAndLease", closeNode},
		{"ClosedNodeRefuses", closedRefuses},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}
