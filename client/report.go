package client

// maxReports bounds what waits for the application's callbacks. What comes beyond it is only logged.
const maxReports = 256

// fault tells OnError. It never blocks.
func (c *Client) fault(err error) {
	c.log.Warn("client fault", "error", err)
	if c.o.OnError != nil {
		c.tell(func() { c.o.OnError(err) })
	}
}

// state tells OnState. It never blocks.
func (c *Client) state(up bool) {
	if c.o.OnState != nil {
		c.tell(func() { c.o.OnState(up) })
	}
}

// moved tells OnMove. It never blocks.
func (c *Client) moved() {
	if c.o.OnMove != nil {
		c.tell(c.o.OnMove)
	}
}

func (c *Client) tell(f func()) {
	select {
	case c.reports <- f:
	default:
	}
}

// report runs the callbacks, one at a time, until the client has ended and those that wait have run.
func (c *Client) report() {
	for {
		select {
		case f := <-c.reports:
			f()
		case <-c.ctx.Done():
			for {
				select {
				case f := <-c.reports:
					f()
				default:
					return
				}
			}
		}
	}
}
