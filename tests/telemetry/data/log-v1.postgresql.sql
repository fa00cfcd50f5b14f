CREATE TABLE public.attempts (
    request_id character varying(64) NOT NULL,
    seq integer NOT NULL,
    at double precision NOT NULL,
    category character varying(64),
    confidence double precision,
    provider character varying(64) NOT NULL,
    model character varying(256),
    host character varying(64),
    role character varying(16),
    outcome character varying(16),
    error character varying(32),
    detail text,
    served boolean,
    started_ms double precision,
    ttft_ms double precision,
    latency_ms double precision,
    tokens_in integer,
    tokens_out integer,
    cost_usd double precision,
    cost_estimated boolean,
    propensity double precision,
    quality double precision,
    finish_reason character varying(32),
    revision integer NOT NULL,
    text text
);
CREATE TABLE public.audits (
    id character varying(32) NOT NULL,
    at double precision NOT NULL,
    kind character varying(64) NOT NULL,
    subject character varying(256) NOT NULL,
    detail text NOT NULL
);
CREATE TABLE public.hints (
    name character varying(128) NOT NULL,
    at double precision NOT NULL,
    detail text NOT NULL
);
CREATE TABLE public.interactions (
    request_id character varying(64) NOT NULL,
    at double precision NOT NULL,
    category character varying(64),
    confidence double precision,
    evidence text,
    preferred character varying(64),
    fallback character varying(64),
    fallback_used boolean,
    winner character varying(64),
    role character varying(16),
    success boolean,
    latency_ms double precision,
    ttft_ms double precision,
    cost_usd double precision,
    liked boolean,
    prompt_hash character varying(128),
    prompt text,
    answer text,
    error text,
    simulated boolean,
    changed bigint NOT NULL
);
CREATE TABLE public.schema_version (
    version integer NOT NULL
);
CREATE SEQUENCE public.schema_version_version_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.schema_version_version_seq OWNED BY public.schema_version.version;
ALTER TABLE ONLY public.schema_version ALTER COLUMN version SET DEFAULT nextval('public.schema_version_version_seq'::regclass);
INSERT INTO public.attempts VALUES ('plain', 0, 1790000000, 'technical', 0.9, 'model-a', 'llama-3.3-70b', 'groq', 'primary', 'ok', NULL, NULL, true, NULL, 210, 800, 20, 90, 0.0004, false, 0.95, NULL, NULL, 0, NULL);
INSERT INTO public.attempts VALUES ('plain', 1, 1790000000, 'technical', 0.9, 'local', 'llama-3.3-70b', 'groq', 'fallback', 'cancelled', NULL, NULL, false, NULL, 210, 800, 20, 90, NULL, false, 0.95, NULL, NULL, 0, NULL);
INSERT INTO public.attempts VALUES ('late', 1, 1790000060.5, 'technical', 0.9, 'local', 'llama-3.3-70b', 'groq', 'fallback', 'ok', NULL, NULL, true, NULL, 210, 800, 20, 90, 0, false, 0.95, NULL, NULL, 0, NULL);
INSERT INTO public.attempts VALUES ('late', 0, 1790000060.5, 'technical', 0.9, 'model-a', 'llama-3.3-70b', 'groq', 'primary', 'late', NULL, NULL, false, NULL, 4100, 5200, 20, 90, 0.0004, false, 0.95, NULL, NULL, 1, NULL);
INSERT INTO public.attempts VALUES ('liked', 0, 1790000120.25, 'creative', 0.9, 'model-a', 'llama-3.3-70b', 'groq', 'primary', 'ok', NULL, NULL, true, NULL, 210, 800, 20, 90, 0.0004, false, 0.95, 0.75, 'stop', 0, 'Zeile ''eins''
Zeile zwei');
INSERT INTO public.attempts VALUES ('failed', 0, 1790000180, 'technical', 0.9, 'model-a', 'llama-3.3-70b', 'groq', 'primary', 'failed', 'server', '503 from upstream', false, NULL, NULL, 800, 20, 90, 0.0004, false, 0.95, NULL, NULL, 0, NULL);
INSERT INTO public.audits VALUES ('e6d1f716a49d4bc7947d4240c04fdb69', 1795764807.055107, 'reranked', 'technical', '{"after": ["local", "model-a"], "before": ["model-a"], "why": "cheaper"}');
INSERT INTO public.hints VALUES ('wait:model-a', 1795764807.0670762, '{"by": "replica", "of": "0123456789abcdef", "wait_s": 12.5}');
INSERT INTO public.interactions VALUES ('plain', 1790000000, 'technical', 0.9, '{"keywords": ["tcp"]}', 'model-a', 'local', false, 'model-a', 'primary', true, 812.5, 210, 0.0004, NULL, '5d41402a', NULL, NULL, NULL, false, 726);
INSERT INTO public.interactions VALUES ('late', 1790000060.5, 'technical', 0.9, '{"keywords": ["tcp"]}', 'model-a', 'local', true, 'local', 'fallback', true, 812.5, 210, 0.0004, NULL, '5d41402a', NULL, NULL, NULL, false, 728);
INSERT INTO public.interactions VALUES ('liked', 1790000120.25, 'creative', 0.9, '{"keywords": ["tcp"]}', 'model-a', 'local', false, 'model-a', 'primary', true, 812.5, 210, NULL, true, '5d41402a', 'Ein Gedicht über Öl, bitte', 'Zeile ''eins''
Zeile zwei', NULL, false, 730);
INSERT INTO public.interactions VALUES ('failed', 1790000180, 'technical', 0.9, '{"keywords": ["tcp"]}', 'model-a', 'local', false, NULL, NULL, false, 812.5, 210, 0.0004, NULL, '5d41402a', NULL, NULL, 'no provider answered (model-a: 503)', false, 731);
INSERT INTO public.schema_version VALUES (1);
SELECT pg_catalog.setval('public.schema_version_version_seq', 1, false);
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (request_id, seq);
ALTER TABLE ONLY public.audits
    ADD CONSTRAINT audits_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hints
    ADD CONSTRAINT hints_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.interactions
    ADD CONSTRAINT interactions_pkey PRIMARY KEY (request_id);
ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
CREATE INDEX attempts_at ON public.attempts USING btree (at);
CREATE INDEX audits_kind_at ON public.audits USING btree (kind, at);
CREATE INDEX interactions_at ON public.interactions USING btree (at);
CREATE INDEX interactions_category_at ON public.interactions USING btree (category, at);
CREATE INDEX interactions_changed ON public.interactions USING btree (changed);
