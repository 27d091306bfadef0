-- +goose Up
-- Each function is one bite of the sweep and one transaction. The try-lock keeps the sweeper single; held for a bite
-- only, it dies with a node that freezes. A bite that another sweeps instead of returns removed = null.

-- +goose StatementBegin
CREATE FUNCTION sweep_turn() RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT pg_try_advisory_xact_lock(7165934418) -- any number, so long as it is this one
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- sweep_outbox lets go of wakes whose message is gone. The topics are locked. Most stores have none.
CREATE FUNCTION sweep_outbox(p_topics bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    IF EXISTS (SELECT FROM push_outbox) THEN
        DELETE FROM push_outbox p
        WHERE p.topic = ANY (p_topics) AND NOT EXISTS (SELECT FROM messages m WHERE m.topic = p.topic AND m.seq = p.seq);
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- sweep_settled deletes up to p_limit messages that every durable subscriber has settled, or that have none.
-- more: there is more to look at.
CREATE FUNCTION sweep_settled(p_limit int, OUT removed bigint, OUT more boolean)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    c_topics CONSTANT int := 500; -- a bite
    v_topics bigint[];
BEGIN
    more := false;
    IF NOT sweep_turn() THEN
        RETURN;
    END IF;
    removed := 0;
    SELECT array_agg(d.topic) INTO v_topics
    FROM (
        (SELECT DISTINCT s.topic FROM subscriptions s WHERE s.dirty ORDER BY s.topic LIMIT c_topics)
        UNION
        (SELECT c.topic FROM counters c WHERE c.dirty ORDER BY c.topic LIMIT c_topics)
    ) d;
    IF v_topics IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM topics t WHERE t.id = ANY (v_topics) ORDER BY t.id FOR NO KEY UPDATE;
    -- Clean first, look after: a settle in between makes its subscription dirty again.
    PERFORM FROM subscriptions s WHERE s.topic = ANY (v_topics) AND s.dirty ORDER BY s.topic, s.subscriber FOR NO KEY UPDATE;
    UPDATE subscriptions s SET dirty = false WHERE s.topic = ANY (v_topics) AND s.dirty;

    -- Ranges, not seqs, are matched with the index: what an absent subscriber is owed is never looked at.
    WITH due AS (
        SELECT w.topic, r AS span
        FROM unnest(v_topics) w (topic)
        CROSS JOIN LATERAL (
            SELECT coalesce(range_intersect_agg(s.settled), int8multirange(int8range(1, NULL))) AS all_settled
            FROM subscriptions s WHERE s.topic = w.topic
        ) x
        CROSS JOIN LATERAL unnest(x.all_settled) r
    ), bite AS (
        SELECT m.topic, m.seq
        FROM due d
        JOIN messages m ON m.topic = d.topic AND m.seq >= lower(d.span) AND m.seq < coalesce(upper(d.span), 9223372036854775807)
        LIMIT p_limit
    ), gone AS (
        DELETE FROM messages m USING bite b WHERE m.topic = b.topic AND m.seq = b.seq
        RETURNING m.topic, octet_length(m.data) AS size
    ), counted AS (
        UPDATE counters c SET stored = c.stored - g.stored, bytes = c.bytes - g.bytes
        FROM (SELECT topic, count(*) AS stored, sum(size) AS bytes FROM gone GROUP BY topic) g
        WHERE c.topic = g.topic
    )
    SELECT count(*) INTO removed FROM gone;
    PERFORM sweep_outbox(v_topics);

    IF removed >= p_limit THEN -- cut: come back to all of them
        UPDATE counters c SET dirty = true WHERE c.topic = ANY (v_topics) AND c.stored > 0 AND NOT c.dirty;
        UPDATE counters c SET dirty = false WHERE c.topic = ANY (v_topics) AND c.stored = 0 AND c.dirty;
    ELSE
        UPDATE counters c SET dirty = false WHERE c.topic = ANY (v_topics) AND c.dirty;
    END IF;
    more := removed >= p_limit OR cardinality(v_topics) >= c_topics;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION sweep_expired(p_limit int, OUT removed bigint)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now    timestamptz := clock_timestamp();
    v_topics bigint[];
BEGIN
    IF NOT sweep_turn() THEN
        RETURN;
    END IF;
    removed := 0;
    SELECT array_agg(DISTINCT d.topic) INTO v_topics
    FROM (SELECT m.topic FROM messages m WHERE m.expires_at <= v_now ORDER BY m.expires_at LIMIT p_limit) d;
    IF v_topics IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM topics t WHERE t.id = ANY (v_topics) ORDER BY t.id FOR NO KEY UPDATE;
    WITH bite AS (
        SELECT m.topic, m.seq FROM messages m
        WHERE m.expires_at <= v_now AND m.topic + 0 = ANY (v_topics) -- + 0: by the index of expiry, not through the topics
        ORDER BY m.expires_at
        LIMIT p_limit
    ), gone AS (
        DELETE FROM messages m USING bite b WHERE m.topic = b.topic AND m.seq = b.seq
        RETURNING m.topic, octet_length(m.data) AS size
    ), counted AS (
        UPDATE counters c SET stored = c.stored - g.stored, bytes = c.bytes - g.bytes
        FROM (SELECT topic, count(*) AS stored, sum(size) AS bytes FROM gone GROUP BY topic) g
        WHERE c.topic = g.topic
    )
    SELECT count(*) INTO removed FROM gone;
    PERFORM sweep_outbox(v_topics);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION sweep_ids(p_window interval, p_limit int, OUT removed bigint)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_end timestamptz := clock_timestamp() - p_window;
BEGIN
    IF NOT sweep_turn() THEN
        RETURN;
    END IF;
    -- No topic is locked here, so no row may be waited for: an append that takes an id anew holds its topic.
    WITH bite AS (
        SELECT m.topic, m.id FROM message_ids m
        WHERE m.stored_at <= v_end
        ORDER BY m.stored_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM message_ids m USING bite b WHERE m.topic = b.topic AND m.id = b.id;
    GET DIAGNOSTICS removed = ROW_COUNT;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- sweep_subscriptions looks at p_limit subscriptions behind (p_topic, p_subscriber) and deletes those not seen for their
-- session's time. An index by time would make every renewal dearer; going round costs a page or two a bite.
-- next_topic is null at the end of the table.
CREATE FUNCTION sweep_subscriptions(p_topic bigint, p_subscriber text, p_limit int,
    OUT removed bigint, OUT next_topic bigint, OUT next_subscriber text)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now         timestamptz := clock_timestamp();
    v_topics      bigint[];
    v_subscribers text[];
BEGIN
    IF NOT sweep_turn() THEN
        RETURN;
    END IF;
    removed := 0;
    WITH slice AS (
        SELECT s.topic, s.subscriber, s.session, s.seen_at, row_number() OVER (ORDER BY s.topic, s.subscriber) AS n
        FROM subscriptions s
        WHERE (s.topic, s.subscriber) > (p_topic, p_subscriber)
        ORDER BY s.topic, s.subscriber
        LIMIT p_limit
    )
    SELECT max(x.topic) FILTER (WHERE x.n = p_limit), max(x.subscriber) FILTER (WHERE x.n = p_limit),
           array_agg(x.topic) FILTER (WHERE x.due), array_agg(x.subscriber) FILTER (WHERE x.due)
    INTO next_topic, next_subscriber, v_topics, v_subscribers
    FROM (
        SELECT s.*, e.subscription_expiry > interval '0' AND s.seen_at + e.subscription_expiry <= v_now AS due
        FROM slice s JOIN sessions e ON e.id = s.session
    ) x;
    IF v_topics IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM topics t WHERE t.id = ANY (v_topics) ORDER BY t.id FOR NO KEY UPDATE;
    WITH due AS (
        SELECT s.topic, s.subscriber
        FROM unnest(v_topics, v_subscribers) w (topic, subscriber)
        JOIN subscriptions s ON s.topic = w.topic AND s.subscriber = w.subscriber
        JOIN sessions e ON e.id = s.session
        WHERE s.seen_at + e.subscription_expiry <= v_now -- nobody came back meanwhile
        ORDER BY s.topic, s.subscriber
        FOR UPDATE OF s
    )
    DELETE FROM subscriptions s USING due d WHERE s.topic = d.topic AND s.subscriber = d.subscriber;
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM release_topics(v_topics);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- drop_session deletes a session and all that is its own, and returns it; only if it is over, where p_expired says so.
CREATE FUNCTION drop_session(p_id text, p_expired boolean) RETURNS SETOF sessions
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_topics bigint[];
BEGIN
    PERFORM FROM sessions s
    WHERE s.id = p_id AND (NOT p_expired OR s.expires_at <= clock_timestamp())
    FOR UPDATE; -- no topic is made from here on
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_topics := ARRAY (SELECT t.id FROM topics t WHERE t.session = p_id ORDER BY t.id FOR UPDATE);
    PERFORM FROM subscriptions s WHERE s.topic = ANY (v_topics) ORDER BY s.topic, s.subscriber FOR UPDATE;
    DELETE FROM subscriptions s WHERE s.topic = ANY (v_topics);
    DELETE FROM messages m WHERE m.topic = ANY (v_topics);
    DELETE FROM message_ids m WHERE m.topic = ANY (v_topics);
    DELETE FROM push_outbox p WHERE p.topic = ANY (v_topics);
    DELETE FROM device_tokens d WHERE d.session = p_id;
    DELETE FROM owners o WHERE o.session = p_id;
    DELETE FROM counters c WHERE c.topic = ANY (v_topics);
    DELETE FROM topics t WHERE t.id = ANY (v_topics);
    RETURN QUERY DELETE FROM sessions s WHERE s.id = p_id RETURNING s.*;
END
$$;
-- +goose StatementEnd
