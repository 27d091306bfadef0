-- +goose Up

-- +goose StatementBegin
-- subscribe_topic makes or finds a subscription. status: 1 there it is, 4 no session, 5 quota.
CREATE FUNCTION subscribe_topic(
    p_session text, p_name text, p_subscriber text, p_bump boolean, p_subscriptions bigint, p_topics bigint,
    OUT status smallint, OUT attach bigint, OUT settled text, OUT head bigint, OUT epoch text
)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_topic bigint;
    v_head  bigint;
BEGIN
    epoch := store_epoch();
    IF NOT EXISTS (
        SELECT FROM sessions s WHERE s.id = p_session AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
    ) THEN
        status := 4;
        RETURN;
    END IF;
    LOOP -- twice, unless the topic comes and goes meanwhile
        SELECT t.id INTO v_topic
        FROM topics t WHERE t.session = p_session AND t.name = p_name
        FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        IF p_subscriptions > 0 AND p_subscriptions <= (SELECT count(*) FROM subscriptions s WHERE s.session = p_session)
            OR p_topics > 0 AND p_topics <= (SELECT count(*) FROM topics t WHERE t.session = p_session)
        THEN
            status := 5;
            RETURN;
        END IF;
        PERFORM FROM sessions s WHERE s.id = p_session FOR KEY SHARE; -- waits for a drop, and holds the next one off
        IF NOT FOUND THEN
            status := 4;
            RETURN;
        END IF;
        INSERT INTO topics AS t (session, name) VALUES (p_session, p_name) ON CONFLICT (session, name) DO NOTHING
        RETURNING t.id INTO v_topic;
        IF FOUND THEN
            INSERT INTO counters (topic, session) VALUES (v_topic, p_session);
        END IF;
    END LOOP;
    SELECT c.head INTO v_head FROM counters c WHERE c.topic = v_topic;

    UPDATE subscriptions s SET attach = s.attach + p_bump::int, seen_at = clock_timestamp()
    WHERE s.topic = v_topic AND s.subscriber = p_subscriber
    RETURNING s.attach, s.settled::text INTO attach, settled;
    IF NOT FOUND THEN
        IF p_subscriptions > 0 AND p_subscriptions <= (SELECT count(*) FROM subscriptions s WHERE s.session = p_session) THEN
            status := 5;
            RETURN;
        END IF;
        INSERT INTO subscriptions AS s (topic, subscriber, session, settled)
        VALUES (v_topic, p_subscriber, p_session, int8multirange(int8range(1, v_head + 1)))
        RETURNING s.attach, s.settled::text INTO attach, settled;
    END IF;
    head := v_head;
    status := 1;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION unsubscribe_topic(p_session text, p_name text, p_subscriber text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_topic bigint;
BEGIN
    SELECT t.id INTO v_topic FROM topics t WHERE t.session = p_session AND t.name = p_name FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM subscriptions s WHERE s.topic = v_topic AND s.subscriber = p_subscriber;
    IF FOUND THEN
        PERFORM release_topics(ARRAY[v_topic]);
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- release_topics sees to topics, locked by the caller, that lost a subscription: what it alone was owed is to be swept.
-- A topic that never had a message goes with its last subscription; any other stays, because its head must never fall.
CREATE FUNCTION release_topics(p_topics bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    UPDATE counters c SET dirty = true WHERE c.topic = ANY (p_topics) AND c.stored > 0 AND NOT c.dirty;
    WITH unused AS (
        DELETE FROM counters c
        WHERE c.topic = ANY (p_topics) AND c.head = 0 AND NOT EXISTS (SELECT FROM subscriptions s WHERE s.topic = c.topic)
        RETURNING c.topic
    )
    DELETE FROM topics t USING unused u WHERE t.id = u.topic;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION attach_subscriber(p_session text, p_subscriber text, p_bump boolean)
RETURNS TABLE (name text, attach bigint, settled text, head bigint, epoch text)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    PERFORM FROM subscriptions s
    WHERE s.session = p_session AND s.subscriber = p_subscriber
    ORDER BY s.topic
    FOR NO KEY UPDATE;
    UPDATE subscriptions s SET attach = s.attach + p_bump::int, seen_at = clock_timestamp()
    WHERE s.session = p_session AND s.subscriber = p_subscriber;
    RETURN QUERY
    SELECT t.name, s.attach, s.settled::text, c.head, e.epoch
    FROM store_epoch() e (epoch), subscriptions s
    JOIN topics t ON t.id = s.topic
    JOIN counters c ON c.topic = s.topic
    WHERE s.session = p_session AND s.subscriber = p_subscriber
    ORDER BY t.name;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- settle_subscriptions merges a batch: ranges are multiranges as text, results stand in the order given, attach 0 where
-- the subscription is gone. What is of another history settles nothing: its seqs are of other messages. Nor does what
-- is beyond the head.
CREATE FUNCTION settle_subscriptions(
    p_sessions text[], p_names text[], p_subscribers text[], p_acked text[], p_given_up text[], p_attach bigint[],
    p_epochs text[], -- '': whatever it is
    OUT attach bigint[], OUT settled text[], OUT heads bigint[], OUT epoch text
)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_topics bigint[];
BEGIN
    epoch := store_epoch();
    -- Resolved first, so that what follows finds a row by both columns of its key, not by topic alone.
    SELECT array_agg((
               SELECT t.id FROM topics t WHERE t.session = w.session AND t.name = w.name
           ) ORDER BY w.n)
    INTO v_topics
    FROM unnest(p_sessions, p_names) WITH ORDINALITY w (session, name, n);

    PERFORM FROM unnest(v_topics, p_subscribers) w (topic, subscriber)
    JOIN subscriptions s ON s.topic = w.topic AND s.subscriber = w.subscriber
    ORDER BY s.topic, s.subscriber
    FOR NO KEY UPDATE OF s;

    UPDATE subscriptions u SET settled = u.settled + d.done, dirty = true
    FROM (
        SELECT s.topic, s.subscriber, range_agg((
                   w.acked::int8multirange
                   + CASE WHEN w.attach = s.attach THEN w.given_up::int8multirange ELSE int8multirange() END
               ) * int8multirange(int8range(1, (SELECT c.head + 1 FROM counters c WHERE c.topic = w.topic)))) AS done
        FROM unnest(v_topics, p_subscribers, p_acked, p_given_up, p_attach, p_epochs) w (topic, subscriber, acked, given_up, attach, epoch)
        JOIN subscriptions s ON s.topic = w.topic AND s.subscriber = w.subscriber
        WHERE w.epoch IN ('', settle_subscriptions.epoch)
        GROUP BY s.topic, s.subscriber
    ) d
    WHERE u.topic = d.topic AND u.subscriber = d.subscriber AND NOT u.settled @> d.done;

    SELECT array_agg(coalesce(s.attach, 0) ORDER BY w.n), array_agg(coalesce(s.settled::text, '{}') ORDER BY w.n),
           array_agg(CASE WHEN s.attach IS NULL THEN 0 ELSE (SELECT c.head FROM counters c WHERE c.topic = w.topic) END ORDER BY w.n)
    INTO attach, settled, heads
    FROM unnest(v_topics, p_subscribers) WITH ORDINALITY w (topic, subscriber, n)
    LEFT JOIN subscriptions s ON s.topic = w.topic AND s.subscriber = w.subscriber;
END
$$;
-- +goose StatementEnd
