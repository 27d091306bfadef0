-- +goose Up

-- +goose StatementBegin
-- save_device stores a device or a known one's new token. Outcomes: 1 done, 4 no session, 5 too many.
CREATE FUNCTION save_device(p_session text, p_user text, p_device text, p_platform text, p_token bytea, p_most int)
RETURNS smallint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM sessions s
    WHERE s.id = p_session AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
    FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN 4;
    END IF;
    UPDATE device_tokens d SET platform = p_platform, token = p_token, updated_at = clock_timestamp()
    WHERE d.session = p_session AND d.user_id = p_user AND d.device_id = p_device;
    IF FOUND THEN
        RETURN 1;
    END IF;
    IF (SELECT count(*) FROM device_tokens d WHERE d.session = p_session AND d.user_id = p_user) >= p_most THEN
        RETURN 5;
    END IF;
    INSERT INTO device_tokens AS d (session, user_id, device_id, platform, token)
    VALUES (p_session, p_user, p_device, p_platform, p_token)
    ON CONFLICT (session, user_id, device_id) DO UPDATE
    SET platform = excluded.platform, token = excluded.token, updated_at = excluded.updated_at;
    RETURN 1;
END
$$;
-- +goose StatementEnd
