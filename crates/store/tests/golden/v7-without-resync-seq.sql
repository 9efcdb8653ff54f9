CREATE TABLE users(
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,            -- presence::User as JSON
        last_seq INTEGER NOT NULL,
        wake_at INTEGER,                -- monotonic ms
        active INTEGER NOT NULL,        -- 1: online, or awaits a deadline
        touched_at INTEGER NOT NULL     -- unix ms
    ) STRICT;
CREATE INDEX users_active ON users(id) WHERE active = 1;
CREATE INDEX users_touched ON users(touched_at) WHERE active = 0;
CREATE TABLE outbox(
        id INTEGER PRIMARY KEY,
        endpoint TEXT NOT NULL,
        user TEXT NOT NULL,
        seq INTEGER NOT NULL,
        operation_id TEXT NOT NULL,
        change TEXT NOT NULL,           -- presence::Change as JSON
        queued_at INTEGER NOT NULL,     -- unix ms
        tries INTEGER NOT NULL DEFAULT 0,
        attempts TEXT NOT NULL DEFAULT '[]',
        replayed INTEGER NOT NULL DEFAULT 0
    , collapsed INTEGER NOT NULL DEFAULT 0, spoken_for TEXT NOT NULL DEFAULT '[]') STRICT;
CREATE TABLE history(
        id INTEGER PRIMARY KEY,
        endpoint TEXT NOT NULL,
        user TEXT NOT NULL,
        seq INTEGER NOT NULL,
        operation_id TEXT NOT NULL,
        change TEXT NOT NULL,
        state TEXT NOT NULL,            -- delivered | dead | expired | superseded
        tries INTEGER NOT NULL,
        attempts TEXT NOT NULL,
        replayed INTEGER NOT NULL,
        settled_at INTEGER NOT NULL,    -- unix ms
        bytes INTEGER NOT NULL
    , collapsed INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX history_user ON history(user, seq);
CREATE INDEX history_settled ON history(settled_at);
CREATE INDEX history_dead ON history(id, endpoint) WHERE state = 'dead';
CREATE TABLE accounts(
        name TEXT PRIMARY KEY,
        account TEXT NOT NULL           -- store::Account as JSON
    ) STRICT, WITHOUT ROWID;
CREATE TABLE numbers(
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE endpoints(
        name TEXT PRIMARY KEY,
        state TEXT NOT NULL             -- store::EndpointState as JSON
    ) STRICT, WITHOUT ROWID;
CREATE TABLE texts(
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE set_aside(
        id INTEGER PRIMARY KEY,
        from_table TEXT NOT NULL,
        key TEXT NOT NULL,              -- its id or name there
        content TEXT NOT NULL,          -- its columns as JSON
        why TEXT NOT NULL,
        at INTEGER NOT NULL             -- unix ms
    ) STRICT;
CREATE TABLE marks(
        id INTEGER PRIMARY KEY,
        endpoint TEXT NOT NULL,
        user TEXT NOT NULL,
        subject TEXT NOT NULL,          -- presence::Subject as JSON
        seq INTEGER NOT NULL,           -- of the first callback that makes the App right
        due_at INTEGER NOT NULL,        -- unix ms
        detail TEXT NOT NULL,           -- store::MarkDetail as JSON
        UNIQUE(endpoint, user, subject)
    ) STRICT;
INSERT INTO users VALUES (1, 'full', 22, '{"connections":[{"id":"00000000000000000000000000000000","platform":7,"token":"00000000000000000000000000000000","issued_at":0,"background":false,"since":20500,"session":{"virtual":{"until":1825000}},"told":{"connection":20500,"platform":20500,"user":20500}},{"id":"01010101010101010101010101010101","platform":1,"token":"01010101010101010101010101010101","issued_at":1000,"background":true,"since":23000,"session":"live","told":{"connection":23000,"platform":23000,"user":20500}},{"id":"02020202020202020202020202020202","platform":5,"token":"02020202020202020202020202020202","issued_at":1000,"background":false,"since":28000,"session":"at_gate","told":{"connection":28000,"platform":28000,"user":20500}},{"id":"07070707070707070707070707070707","platform":2,"token":"03030303030303030303030303030303","issued_at":1000,"background":false,"since":28600,"session":{"lingering":{"until":39000,"end":"closed"}},"told":{"connection":28601,"platform":26000,"user":20500}}],"lost":[[3,"04040404040404040404040404040404"]],"status":{"status":{"availability":"busy","text":"in a call","emoji":"","expires_at":null},"seq":25000,"brought_online":null,"previous":{"status":{"availability":"online","text":"","emoji":"🌍","expires_at":800000},"seq":20500,"brought_online":7,"previous":null}},"tokens":{"denied":[{"token":"05050505050505050505050505050505","platform":9,"issued_at":1000}],"platforms":[{"platform":1,"denied_until":0,"newest":1000,"known":[["01010101010101010101010101010101",9000000]]},{"platform":5,"denied_until":0,"newest":1000,"known":[["02020202020202020202020202020202",9000000]]},{"platform":2,"denied_until":0,"newest":1000,"known":[["03030303030303030303030303030303",9000000]]},{"platform":3,"denied_until":0,"newest":1000,"known":[["04040404040404040404040404040404",9000000]]},{"platform":9,"denied_until":0,"newest":1000,"known":[["05050505050505050505050505050505",9000000],["06060606060606060606060606060606",9000000]]}]},"refusals":[{"platform":9,"token":"06060606060606060606060606060606","until":90000,"refusal":{"msg":"no","detail":"not today"}}],"rates":{"logins":32000,"own_statuses":27000,"admin_statuses":20700,"returns":29600},"last_seq":30000,"since":20500}', 30000, 39000, 1, 30000);
INSERT INTO users VALUES (2, 'small', 2, '{"connections":[],"rates":{"logins":92000},"last_seq":91000,"since":91000}', 91000, NULL, 0, 91000);
INSERT INTO outbox VALUES (1, 'main', 'full', 3000, 'op', '{"seq":3000,"kind":"online","reason":"login","edges":{"connection":true,"platform":true,"user":true},"platform":3,"conn":"04040404040404040404040404040404","background":false,"at":3000}', 3000, 1, '[{"at":95000,"took_ms":12,"error":"timeout","verdict":"again"}]', 0, 0, '[]');
INSERT INTO outbox VALUES (10, 'main', 'full', 27000, 'op', '{"seq":27000,"kind":"online","reason":"login","edges":{"connection":true,"platform":true,"user":false},"platform":9,"conn":"06060606060606060606060606060606","background":false,"at":27000,"status":{"availability":"busy","text":"in a call","emoji":"","expires_at":null}}', 27000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (11, 'main', 'full', 28000, 'op', '{"seq":28000,"kind":"online","reason":"login","edges":{"connection":true,"platform":true,"user":false},"platform":5,"conn":"02020202020202020202020202020202","background":false,"at":28000,"status":{"availability":"busy","text":"in a call","emoji":"","expires_at":null}}', 28000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (12, 'main', 'full', 28600, 'op', '{"seq":28600,"kind":"offline","reason":"lost","edges":{"connection":true,"platform":false,"user":false},"platform":2,"conn":"03030303030303030303030303030303","background":false,"at":28600}', 28600, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (13, 'main', 'full', 28601, 'op', '{"seq":28601,"kind":"online","reason":"reconnect","edges":{"connection":true,"platform":false,"user":false},"platform":2,"conn":"07070707070707070707070707070707","background":false,"at":28600,"status":{"availability":"busy","text":"in a call","emoji":"","expires_at":null}}', 28600, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (14, 'main', 'full', 30000, 'op', '{"seq":30000,"kind":"offline","reason":"refused","edges":{"connection":true,"platform":true,"user":false},"platform":9,"conn":"06060606060606060606060606060606","background":false,"at":30000}', 30000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (2, 'main', 'full', 20000, 'op', '{"seq":20000,"kind":"offline","reason":"lost","edges":{"connection":true,"platform":true,"user":true},"platform":3,"conn":"04040404040404040404040404040404","background":false,"at":20000}', 20000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (3, 'main', 'full', 20500, 'op', '{"seq":20500,"kind":"online","reason":"status","edges":{"connection":true,"platform":true,"user":true},"platform":7,"conn":null,"background":false,"at":20500,"status":{"availability":"online","text":"","emoji":"🌍","expires_at":800000}}', 20500, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (4, 'main', 'full', 21000, 'op', '{"seq":21000,"kind":"online","reason":"login","edges":{"connection":true,"platform":true,"user":false},"platform":9,"conn":"05050505050505050505050505050505","background":false,"at":21000,"status":{"availability":"online","text":"","emoji":"🌍","expires_at":800000}}', 21000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (5, 'main', 'full', 22000, 'op', '{"seq":22000,"kind":"kick_off","reason":"kicked","edges":{"connection":true,"platform":false,"user":false},"platform":9,"conn":"05050505050505050505050505050505","background":false,"at":22000}', 22000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (6, 'main', 'full', 22001, 'op', '{"seq":22001,"kind":"offline","reason":"kicked","edges":{"connection":true,"platform":true,"user":false},"platform":9,"conn":"05050505050505050505050505050505","background":false,"at":22000}', 22000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (7, 'main', 'full', 23000, 'op', '{"seq":23000,"kind":"online","reason":"login","edges":{"connection":true,"platform":true,"user":false},"platform":1,"conn":"01010101010101010101010101010101","background":false,"at":23000,"status":{"availability":"online","text":"","emoji":"🌍","expires_at":800000}}', 23000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (8, 'main', 'full', 25000, 'op', '{"seq":25000,"kind":"online","reason":"status","edges":{"connection":true,"platform":false,"user":false},"platform":1,"conn":"01010101010101010101010101010101","background":true,"at":25000,"status":{"availability":"busy","text":"in a call","emoji":"","expires_at":null}}', 25000, 0, '[]', 0, 0, '[]');
INSERT INTO outbox VALUES (9, 'main', 'full', 26000, 'op', '{"seq":26000,"kind":"online","reason":"login","edges":{"connection":true,"platform":true,"user":false},"platform":2,"conn":"03030303030303030303030303030303","background":false,"at":26000,"status":{"availability":"busy","text":"in a call","emoji":"","expires_at":null}}', 26000, 0, '[]', 0, 0, '[]');
INSERT INTO history VALUES (15, 'main', 'small', 90000, 'op', '{"seq":90000,"kind":"online","reason":"login","edges":{"connection":true,"platform":true,"user":true},"platform":1,"conn":"07070707070707070707070707070707","background":false,"at":90000}', 'delivered', 0, '[{"at":95000,"took_ms":12,"status":200,"answer":"{}","verdict":"delivered"}]', 0, 96000, 370, 0);
INSERT INTO history VALUES (16, 'main', 'small', 91000, 'op', '{"seq":91000,"kind":"offline","reason":"logged_out","edges":{"connection":true,"platform":true,"user":true},"platform":1,"conn":"07070707070707070707070707070707","background":false,"at":91000}', 'dead', 1, '[{"at":95000,"took_ms":12,"status":200,"answer":"no","verdict":"dead"}]', 0, 96000, 371, 0);
INSERT INTO accounts VALUES ('full', '{"user":"full","nickname":"Ünï","face_url":"https://x.example/f","ex":"{}","app_manager_level":1,"global_recv_msg_opt":2,"created_at":7}');
INSERT INTO numbers VALUES ('forgotten_row', 0);
INSERT INTO numbers VALUES ('highest_seq', 91000);
INSERT INTO numbers VALUES ('history_bytes', 741);
INSERT INTO numbers VALUES ('last_row', 16);
INSERT INTO numbers VALUES ('probe', 0);
INSERT INTO numbers VALUES ('seq_floor', 0);
INSERT INTO endpoints VALUES ('main', '{"paused":false,"resync":{"since":96000,"why":"callbacks were given up; the App is told again how things are"},"asked_at":96000,"told_of":"all"}');
INSERT INTO endpoints VALUES ('other', '{"paused":true}');
INSERT INTO texts VALUES ('epoch', 'the-epoch');
INSERT INTO marks VALUES (1, 'main', 'small', '"user"', 91000, 156000, '{"missed":{"seq":91000,"kind":"offline","reason":"logged_out","edges":{"connection":true,"platform":true,"user":true},"platform":1,"conn":"07070707070707070707070707070707","background":false,"at":91000},"marked_at":96000,"told":0}');
PRAGMA user_version = 7;
