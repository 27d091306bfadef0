-- +goose Up
-- A function that nodes call is never changed once released: nodes of two versions run side by side. A new one gets a
-- new name.

-- +goose StatementBegin
-- append_messages decides a group: what is new, its seq, what is stored. The distinct topics stand by name in p_names,
-- each with its session's place in p_sessions; entries say by p_topic which of them they are for. p_id is the key in
-- message_ids, p_before the place of an earlier entry of the group with the same topic and id (0: none), p_expiry and
-- p_wake in microseconds (p_wake null where nobody is to be woken for any), p_quota in bytes of a session (0: none).
-- outcomes: 1 stored, 2 repeat, 3 not stored, 4 no session, 5 quota.
--
-- Each statement here has a snapshot of its own (READ COMMITTED). That is what makes it right: everything after the
-- first sees what was committed by whoever held the locks before. In one statement, the snapshot would be older
-- than the wait. Statements are few, because each costs more than a message does, and what is decided between them is
-- decided in arrays.
--
-- A topic without a row has never had a durable subscriber: nobody is owed anything, and none is made for it.
-- Groups on other topics of a session do not wait for this one: together they may pass its quota by what is in flight.
CREATE FUNCTION append_messages(
    p_sessions text[], p_session int[], p_names text[],
    p_topic int[], p_id bytea[], p_before int[], p_message_id text[], p_origin text[], p_data bytea[], p_size bigint[],
    p_hash text[], p_timestamp bigint[], p_expiry bigint[], p_wake bigint[],
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
    v_now    timestamptz;
    v_live   boolean[]; -- of the sessions
    v_used   bigint[];  -- of the sessions, where there is a quota
    v_topics bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(p_names)]);
    v_heads  bigint[];  -- of the topics
    v_first  text[];    -- of the topics: a subscriber
    v_others boolean[]; -- of the topics: it is not the only one
    v_places bigint[];  -- of what a statement found
    v_found  bigint[];  -- what it found there
    v_any    boolean := false; -- something is stored
    v_own    boolean := false; -- by an origin that may have a subscription
    v_stale  boolean := false; -- over an id past its window
    s        int;
    t        int;
BEGIN
    SELECT array_agg(l.n), array_agg(l.id) INTO v_places, v_found
    FROM (
        SELECT w.n, t.id
        FROM unnest(p_session, p_names) WITH ORDINALITY w (session, name, n)
        JOIN topics t ON t.session = p_sessions[w.session] AND t.name = w.name
        ORDER BY t.id
        FOR NO KEY UPDATE OF t
    ) l;
    FOR i IN 1 .. coalesce(cardinality(v_places), 0) LOOP
        v_topics[v_places[i]] := v_found[i];
    END LOOP;
    v_now := clock_timestamp(); -- behind the wait, so that times of a topic ascend with its seqs

    SELECT w.live, w.used, x.heads, x.first, x.others
    INTO v_live, v_used, v_heads, v_first, v_others
    FROM (
        SELECT array_agg(EXISTS (
                   SELECT FROM sessions s WHERE s.id = w.session AND (s.expires_at IS NULL OR s.expires_at > v_now)
               )) AS live,
               array_agg(CASE WHEN p_quota > 0 THEN
                   (SELECT coalesce(sum(c.bytes), 0)::bigint FROM counters c WHERE c.session = w.session) END) AS used
        FROM unnest(p_sessions) w (session)
    ) w, (
        SELECT array_agg((SELECT c.head FROM counters c WHERE c.topic = w.topic)) AS heads,
               array_agg((SELECT s.subscriber FROM subscriptions s WHERE s.topic = w.topic
                   ORDER BY s.subscriber LIMIT 1)) AS first,
               array_agg((SELECT true FROM subscriptions s WHERE s.topic = w.topic
                   ORDER BY s.subscriber LIMIT 1 OFFSET 1)) AS others
        FROM unnest(v_topics) w (topic)
    ) x;

    -- The time is not a condition, or its index might be taken.
    SELECT array_agg(e.k), array_agg(CASE WHEN m.stored_at > v_now - p_window THEN m.seq END) INTO v_places, v_found
    FROM unnest(p_topic, p_id) WITH ORDINALITY e (topic, id, k)
    JOIN message_ids m ON m.topic = v_topics[e.topic] AND m.id = e.id;

    outcomes := array_fill(3::smallint, ARRAY[cardinality(p_topic)]);
    seqs := array_fill(0::bigint, ARRAY[cardinality(p_topic)]);
    FOR i IN 1 .. coalesce(cardinality(v_places), 0) LOOP
        IF v_found[i] IS NULL THEN
            v_stale := true;
        ELSE
            outcomes[v_places[i]] := 2;
            seqs[v_places[i]] := v_found[i];
        END IF;
    END LOOP;
    FOR k IN 1 .. cardinality(p_topic) LOOP
        t := p_topic[k];
        s := p_session[t];
        IF NOT v_live[s] THEN
            outcomes[k] := 4;
            seqs[k] := 0;
        ELSIF outcomes[k] = 2 THEN
            CONTINUE;
        ELSIF p_before[k] > 0 AND seqs[p_before[k]] > 0 THEN
            outcomes[k] := 2;
            seqs[k] := seqs[p_before[k]];
        ELSIF v_first[t] <> p_origin[k] OR v_others[t] THEN -- somebody but the origin is owed it
            IF p_quota > 0 AND v_used[s] + p_size[k] > p_quota THEN
                outcomes[k] := 5;
                CONTINUE;
            END IF;
            v_used[s] := v_used[s] + p_size[k];
            v_heads[t] := v_heads[t] + 1;
            outcomes[k] := 1;
            seqs[k] := v_heads[t];
            v_any := true;
            v_own := v_own OR v_others[t] AND p_origin[k] <> '';
        END IF;
    END LOOP;

    IF v_stale AND v_any THEN -- none of these is known any more: what is, was not stored
        DELETE FROM message_ids m
        USING unnest(p_topic, p_id, outcomes) e (topic, id, outcome)
        WHERE e.outcome = 1 AND m.topic = v_topics[e.topic] AND m.id = e.id;
    END IF;
    IF v_any THEN
        WITH entry AS MATERIALIZED (
            SELECT v_topics[e.topic] AS at, e.*
            FROM unnest(p_topic, outcomes, seqs, p_id, p_message_id, p_origin, p_data, p_size, p_hash, p_timestamp, p_expiry)
                 e (topic, outcome, seq, id, message_id, origin, data, size, hash, stamp, expiry)
            WHERE e.outcome = 1
        ), stored AS (
            INSERT INTO messages (topic, seq, message_id, origin, data, hash, timestamp, stored_at, expires_at)
            SELECT e.at, e.seq, e.message_id, e.origin, e.data, e.hash, e.stamp, v_now,
                   v_now + e.expiry * interval '1 microsecond'
            FROM entry e
        ), known AS (
            INSERT INTO message_ids (topic, id, seq, stored_at)
            SELECT e.at, e.id, e.seq, v_now
            FROM entry e
        )
        UPDATE counters c SET head = g.head, stored = c.stored + g.stored, bytes = c.bytes + g.bytes
        FROM (
            SELECT e.at, max(e.seq) AS head, count(*) AS stored, sum(e.size) AS bytes
            FROM entry e
            GROUP BY e.at
        ) g
        WHERE c.topic = g.at;
    END IF;
    IF v_any AND p_wake IS NOT NULL THEN
        INSERT INTO push_outbox (topic, seq, due_at)
        SELECT v_topics[e.topic], e.seq, v_now + e.wake * interval '1 microsecond'
        FROM unnest(p_topic, outcomes, seqs, p_wake) e (topic, outcome, seq, wake)
        WHERE e.outcome = 1 AND e.wake > 0;
    END IF;
    IF v_own THEN
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
