BEGIN TRANSACTION;
CREATE TABLE attempts (
	request_id VARCHAR(64) NOT NULL, 
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	category VARCHAR(64), 
	confidence FLOAT, 
	provider VARCHAR(64) NOT NULL, 
	model VARCHAR(256), 
	host VARCHAR(64), 
	role VARCHAR(16), 
	outcome VARCHAR(16), 
	error VARCHAR(32), 
	detail TEXT, 
	served BOOLEAN, 
	started_ms FLOAT, 
	ttft_ms FLOAT, 
	latency_ms FLOAT, 
	tokens_in INTEGER, 
	tokens_out INTEGER, 
	cost_usd FLOAT, 
	cost_estimated BOOLEAN, 
	propensity FLOAT, 
	quality FLOAT, 
	finish_reason VARCHAR(32), 
	revision INTEGER NOT NULL, 
	text TEXT, 
	PRIMARY KEY (request_id, seq)
);
INSERT INTO "attempts" VALUES('plain',0,1790000000.0,'technical',0.9,'model-a','llama-3.3-70b','groq','primary','ok',NULL,NULL,1,NULL,210.0,800.0,20,90,0.0004,0,0.95,NULL,NULL,0,NULL);
INSERT INTO "attempts" VALUES('plain',1,1790000000.0,'technical',0.9,'local','llama-3.3-70b','groq','fallback','cancelled',NULL,NULL,0,NULL,210.0,800.0,20,90,NULL,0,0.95,NULL,NULL,0,NULL);
INSERT INTO "attempts" VALUES('late',0,1790000060.5,'technical',0.9,'model-a','llama-3.3-70b','groq','primary','late',NULL,NULL,0,NULL,4100.0,5200.0,20,90,0.0004,0,0.95,NULL,NULL,1,NULL);
INSERT INTO "attempts" VALUES('late',1,1790000060.5,'technical',0.9,'local','llama-3.3-70b','groq','fallback','ok',NULL,NULL,1,NULL,210.0,800.0,20,90,0.0,0,0.95,NULL,NULL,0,NULL);
INSERT INTO "attempts" VALUES('liked',0,1790000120.25,'creative',0.9,'model-a','llama-3.3-70b','groq','primary','ok',NULL,NULL,1,NULL,210.0,800.0,20,90,0.0004,0,0.95,0.75,'stop',0,'Zeile ''eins''
Zeile zwei');
INSERT INTO "attempts" VALUES('failed',0,1790000180.0,'technical',0.9,'model-a','llama-3.3-70b','groq','primary','failed','server','503 from upstream',0,NULL,NULL,800.0,20,90,0.0004,0,0.95,NULL,NULL,0,NULL);
CREATE TABLE audits (
	id VARCHAR(32) NOT NULL, 
	at FLOAT NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	subject VARCHAR(256) NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "audits" VALUES('108e6d872d874c28a1e404576dd02f6d',1.79576480344652938837e+09,'reranked','technical','{"after": ["local", "model-a"], "before": ["model-a"], "why": "cheaper"}');
CREATE TABLE hints (
	name VARCHAR(128) NOT NULL, 
	at FLOAT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "hints" VALUES('wait:model-a',1.79576480345052385328e+09,'{"by": "replica", "of": "0123456789abcdef", "wait_s": 12.5}');
CREATE TABLE interactions (
	request_id VARCHAR(64) NOT NULL, 
	at FLOAT NOT NULL, 
	category VARCHAR(64), 
	confidence FLOAT, 
	evidence TEXT, 
	preferred VARCHAR(64), 
	fallback VARCHAR(64), 
	fallback_used BOOLEAN, 
	winner VARCHAR(64), 
	role VARCHAR(16), 
	success BOOLEAN, 
	latency_ms FLOAT, 
	ttft_ms FLOAT, 
	cost_usd FLOAT, 
	liked BOOLEAN, 
	prompt_hash VARCHAR(128), 
	prompt TEXT, 
	answer TEXT, 
	error TEXT, 
	simulated BOOLEAN, 
	changed BIGINT NOT NULL, 
	PRIMARY KEY (request_id)
);
INSERT INTO "interactions" VALUES('plain',1790000000.0,'technical',0.9,'{"keywords": ["tcp"]}','model-a','local',0,'model-a','primary',1,812.5,210.0,0.0004,NULL,'5d41402a',NULL,NULL,NULL,0,1);
INSERT INTO "interactions" VALUES('late',1790000060.5,'technical',0.9,'{"keywords": ["tcp"]}','model-a','local',1,'local','fallback',1,812.5,210.0,0.0004,NULL,'5d41402a',NULL,NULL,NULL,0,3);
INSERT INTO "interactions" VALUES('liked',1790000120.25,'creative',0.9,'{"keywords": ["tcp"]}','model-a','local',0,'model-a','primary',1,812.5,210.0,NULL,1,'5d41402a','Ein Gedicht über Öl, bitte','Zeile ''eins''
Zeile zwei',NULL,0,5);
INSERT INTO "interactions" VALUES('failed',1790000180.0,'technical',0.9,'{"keywords": ["tcp"]}','model-a','local',0,NULL,NULL,0,812.5,210.0,0.0004,NULL,'5d41402a',NULL,NULL,'no provider answered (model-a: 503)',0,6);
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1);
CREATE INDEX interactions_changed ON interactions (changed);
CREATE INDEX interactions_at ON interactions (at);
CREATE INDEX interactions_category_at ON interactions (category, at);
CREATE INDEX attempts_at ON attempts (at);
CREATE INDEX audits_kind_at ON audits (kind, at);
COMMIT;
