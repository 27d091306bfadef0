-- +goose Up
-- A function that nodes call is never changed once released: nodes of two versions run side by side. A new one gets a
-- new name.

-- +goose StatementBegin
-- append_messages decides a group: what is new, its seq, what is stored. Entries say by p_topic which of the distinct
-- topics (p_sessions, p_names) they are for; p_id is the key in message_ids; p_expiry and p_wake are in microseconds, and
-- p_wake is null where nobody is to be woken for any of them.
-- outcomes: 1 stored, 2 repeat, 3 not stored, 4 no session, 5 quota.
--
-- Each statement here has a snapshot of its own (READ COMMITTED). That is what makes it right: everything after the
-- first sees what was committed by whoever held the locks before. In one statement, the snapshot would be older
-- than the wait.
--
-- A topic without a row has never had a durable subscriber: nobody is owed anything, and none is made for it.
CREATE FUNCTION append_messages(
    p_sessions text[], p_names text[],
    p_topic int[], p_id bytea[], p_message_id text[], p_origin text[], p_data bytea[], p_size bigint[], p_hash text[],
    p_timestamp bigint[], p_expiry bigint[], p_wake bigint[],
    p_window interval, p_quota bigint,
    OUT outcomes smallint[], OUT seqs bigint[], OUT epoch text
)
LANGUAGE plpgsql VOLATILE
-- The tables are small one moment and large the next, and a plan lives as long as the connection. So always the same:
-- look up by index, row by row.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now     timestamptz;
    v_topics  bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(p_names)]);
    v_heads   bigint[];
    v_live    boolean[]; -- of the topics' sessions
    v_known   bigint[];  -- of the entries: the seq of an earlier one
    v_new     boolean[]; -- of the entries: to be stored, unless an entry before it is the same
    v_refused boolean[]; -- of the entries: beyond the quota
    r         record;
BEGIN
    FOR r IN
        SELECT w.n, t.id
        FROM unnest(p_sessions, p_names) WITH ORDINALITY w (session, name, n)
        JOIN topics t ON t.session = w.session AND t.name = w.name
        ORDER BY t.id
        FOR NO KEY UPDATE OF t
    LOOP
        v_topics[r.n] := r.id;
    END LOOP;
    v_now := clock_timestamp(); -- behind the wait, so that times of a topic ascend with its seqs

    SELECT array_agg(EXISTS (
               SELECT FROM sessions s WHERE s.id = w.session AND (s.expires_at IS NULL OR s.expires_at > v_now)
           ) ORDER BY w.n),
           array_agg((SELECT c.head FROM counters c WHERE c.topic = w.topic) ORDER BY w.n)
    INTO v_live, v_heads
    FROM unnest(p_sessions, v_topics) WITH ORDINALITY w (session, topic, n);

    SELECT array_agg(e.known ORDER BY e.k),
           array_agg(v_live[e.topic] AND e.known IS NULL AND EXISTS (
               SELECT FROM subscriptions s WHERE s.topic = v_topics[e.topic] AND s.subscriber <> e.origin
           ) ORDER BY e.k)
    INTO v_known, v_new
    FROM (
        SELECT e.*, (
            SELECT CASE WHEN m.stored_at > v_now - p_window THEN m.seq END -- no condition, or its index might be taken
            FROM message_ids m WHERE m.topic = v_topics[e.topic] AND m.id = e.id
        ) AS known
        FROM unnest(p_topic, p_id, p_origin) WITH ORDINALITY e (topic, id, origin, k)
        OFFSET 0 -- looked up once an entry
    ) e;

    IF p_quota > 0 AND true = ANY (v_new) THEN
        v_refused := append_refused(p_sessions, p_topic, p_id, p_size, v_new, p_quota);
    END IF;

    WITH entry AS (
        SELECT e.*, e.k = min(e.k) FILTER (WHERE e.fresh AND e.refused IS NOT TRUE) OVER same AS first
        FROM unnest(p_topic, p_id, v_known, v_new, v_refused) WITH ORDINALITY e (topic, id, known, fresh, refused, k)
        WINDOW same AS (PARTITION BY e.topic, e.id)
    ), numbered AS (
        SELECT e.*, CASE WHEN e.first THEN
            v_heads[e.topic] + count(*) FILTER (WHERE e.first) OVER (PARTITION BY e.topic ORDER BY e.k) END AS seq
        FROM entry e
    ), decided AS (
        SELECT n.k, n.seq AS own, coalesce(n.known, max(n.seq) OVER before) AS earlier, n.topic, n.refused
        FROM numbered n
        WINDOW before AS (PARTITION BY n.topic, n.id ORDER BY n.k)
    )
    SELECT array_agg(CASE
               WHEN NOT v_live[d.topic] THEN 4
               WHEN d.own IS NOT NULL THEN 1
               WHEN d.earlier IS NOT NULL THEN 2
               WHEN d.refused THEN 5
               ELSE 3 END ORDER BY d.k),
           array_agg(CASE WHEN v_live[d.topic] THEN coalesce(d.own, d.earlier, 0) ELSE 0 END ORDER BY d.k)
    INTO outcomes, seqs
    FROM decided d;

    IF 1 = ANY (outcomes) THEN
        INSERT INTO messages (topic, seq, message_id, origin, data, hash, timestamp, stored_at, expires_at)
        SELECT v_topics[e.topic], e.seq, e.message_id, e.origin, e.data, e.hash, e.at, v_now,
               v_now + e.expiry * interval '1 microsecond'
        FROM unnest(p_topic, outcomes, seqs, p_message_id, p_origin, p_data, p_hash, p_timestamp, p_expiry)
             e (topic, outcome, seq, message_id, origin, data, hash, at, expiry)
        WHERE e.outcome = 1;

        INSERT INTO message_ids AS m (topic, id, seq, stored_at)
        SELECT v_topics[e.topic], e.id, e.seq, v_now
        FROM unnest(p_topic, outcomes, seqs, p_id) e (topic, outcome, seq, id)
        WHERE e.outcome = 1
        ON CONFLICT (topic, id) DO UPDATE SET seq = excluded.seq, stored_at = excluded.stored_at; -- past its window

        IF p_wake IS NOT NULL THEN
            INSERT INTO push_outbox (topic, seq, due_at)
            SELECT v_topics[e.topic], e.seq, v_now + e.wake * interval '1 microsecond'
            FROM unnest(p_topic, outcomes, seqs, p_wake) e (topic, outcome, seq, wake)
            WHERE e.outcome = 1 AND e.wake > 0;
        END IF;

        UPDATE counters c SET head = g.head, stored = c.stored + g.stored, bytes = c.bytes + g.bytes
        FROM (
            SELECT v_topics[e.topic] AS topic, max(e.seq) AS head, count(*) AS stored, sum(e.size) AS bytes
            FROM unnest(p_topic, outcomes, seqs, p_size) e (topic, outcome, seq, size)
            WHERE e.outcome = 1
            GROUP BY 1
        ) g
        WHERE c.topic = g.topic;

        PERFORM FROM subscriptions s
        JOIN (
            SELECT DISTINCT v_topics[e.topic] AS topic, e.origin
            FROM unnest(p_topic, outcomes, p_origin) e (topic, outcome, origin)
            WHERE e.outcome = 1 AND e.origin <> ''
        ) o ON s.topic = o.topic AND s.subscriber = o.origin
        ORDER BY s.topic, s.subscriber
        FOR NO KEY UPDATE OF s;
        IF FOUND THEN
            UPDATE subscriptions s SET settled = s.settled + o.own
            FROM (
                SELECT v_topics[e.topic] AS topic, e.origin, range_agg(int8range(e.seq, e.seq, '[]')) AS own
                FROM unnest(p_topic, outcomes, seqs, p_origin) e (topic, outcome, seq, origin)
                WHERE e.outcome = 1 AND e.origin <> ''
                GROUP BY 1, 2
            ) o
            WHERE s.topic = o.topic AND s.subscriber = o.origin;
        END IF;
    END IF;
    epoch := store_epoch();
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- append_refused goes through a group in order and says which entries a session has no room for. Groups on other topics
-- of the session do not wait for this one: together they may pass the quota by what is in flight.
CREATE FUNCTION append_refused(
    p_sessions text[], p_topic int[], p_id bytea[], p_size bigint[], p_new boolean[], p_quota bigint
) RETURNS boolean[]
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_refused boolean[] := array_fill(false, ARRAY[cardinality(p_topic)]);
    v_used    jsonb := '{}'; -- by session
    v_sum     bigint;
    r         record;
BEGIN
    -- Most groups are far from it.
    IF NOT EXISTS (
        SELECT FROM (
            SELECT p_sessions[e.topic] AS session, sum(e.size) AS size
            FROM unnest(p_topic, p_size, p_new) e (topic, size, fresh)
            WHERE e.fresh
            GROUP BY 1
        ) g
        WHERE g.size + (SELECT coalesce(sum(c.bytes), 0) FROM counters c WHERE c.session = g.session) > p_quota
    ) THEN
        RETURN v_refused;
    END IF;
    FOR r IN
        SELECT e.k, p_sessions[e.topic] AS session, e.size, lag(e.k) OVER (PARTITION BY e.topic, e.id ORDER BY e.k) AS before
        FROM unnest(p_topic, p_id, p_size, p_new) WITH ORDINALITY e (topic, id, size, fresh, k)
        WHERE e.fresh
        ORDER BY e.k
    LOOP
        CONTINUE WHEN r.before IS NOT NULL AND NOT v_refused[r.before]; -- a repeat takes no room
        v_sum := (v_used ->> r.session)::bigint;
        IF v_sum IS NULL THEN
            SELECT coalesce(sum(c.bytes), 0) INTO v_sum FROM counters c WHERE c.session = r.session;
        END IF;
        v_refused[r.k] := v_sum + r.size > p_quota;
        IF NOT v_refused[r.k] THEN
            v_sum := v_sum + r.size;
        END IF;
        v_used := v_used || jsonb_build_object(r.session, v_sum);
    END LOOP;
    RETURN v_refused;
END
$$;
-- +goose StatementEnd
