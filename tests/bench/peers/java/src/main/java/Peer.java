// SPDX-License-Identifier: PostgreSQL
// Debezium's engine and its JDBC sink in one process: what the one reads, the other is handed at once.

import java.net.URI;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.metrics.PluginMetrics;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTaskContext;
import org.apache.kafka.connect.source.SourceRecord;

import io.debezium.connector.jdbc.JdbcSinkConnectorTask;
import io.debezium.embedded.Connect;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;

public final class Peer implements DebeziumEngine.ChangeConsumer<ChangeEvent<SourceRecord, SourceRecord>> {
	private static final String BATCH = "10000";

	private final JdbcSinkConnectorTask sink = new JdbcSinkConnectorTask();
	private long offset;

	private Peer(URI target) {
		Map<String, String> config = new HashMap<>();

		config.put("name", "sink");
		config.put("topics", "s");
		config.put("connection.url", "jdbc:postgresql://" + target.getHost() + ":" + target.getPort() + target.getPath()
		    + "?reWriteBatchedInserts=true");
		config.put("connection.username", target.getUserInfo());
		config.put("connection.password", "");
		config.put("insert.mode", "upsert");
		config.put("delete.enabled", "true");
		config.put("primary.key.mode", "record_key");
		config.put("schema.evolution", "none");
		config.put("collection.name.format", "${source.table}");
		config.put("batch.size", BATCH);
		config.put("use.reduction.buffer", "true");
		sink.initialize(new Context(config));
		sink.start(config);
		sink.open(Context.PARTITIONS);
	}

	@Override
	public void handleBatch(List<ChangeEvent<SourceRecord, SourceRecord>> events,
	    DebeziumEngine.RecordCommitter<ChangeEvent<SourceRecord, SourceRecord>> committer) throws InterruptedException {
		List<SinkRecord> rows = new ArrayList<>(events.size());

		for (ChangeEvent<SourceRecord, SourceRecord> event : events) {
			SourceRecord r = event.value();

			if (r.value() != null && r.topic().chars().filter(c -> c == '.').count() == 2)
				rows.add(new SinkRecord(r.topic(), 0, r.keySchema(), r.key(), r.valueSchema(), r.value(), offset++));
		}
		sink.put(rows);
		sink.flush(Map.of(new TopicPartition("s", 0), new OffsetAndMetadata(offset)));
		if (sink.getLastProcessingException() != null)
			throw new IllegalStateException("the sink refused a batch", sink.getLastProcessingException());
		for (ChangeEvent<SourceRecord, SourceRecord> event : events)
			committer.markProcessed(event);
		committer.markBatchFinished();
	}

	/* No snapshot: the target has the rows of when the slot was made. */
	private static Properties source(URI uri, String slot, String publication, String folder) {
		Properties p = new Properties();

		p.setProperty("name", "source");
		p.setProperty("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
		p.setProperty("topic.prefix", "s");
		p.setProperty("database.hostname", uri.getHost());
		p.setProperty("database.port", String.valueOf(uri.getPort()));
		p.setProperty("database.user", uri.getUserInfo());
		p.setProperty("database.password", "");
		p.setProperty("database.dbname", uri.getPath().substring(1));
		p.setProperty("plugin.name", "pgoutput");
		p.setProperty("slot.name", slot);
		p.setProperty("publication.name", publication);
		p.setProperty("publication.autocreate.mode", "disabled");
		p.setProperty("snapshot.mode", "no_data");
		p.setProperty("tombstones.on.delete", "false");
		p.setProperty("max.batch.size", BATCH);
		p.setProperty("max.queue.size", "40000");
		p.setProperty("poll.interval.ms", "10");
		p.setProperty("offset.storage", "org.apache.kafka.connect.storage.FileOffsetBackingStore");
		p.setProperty("offset.storage.file.filename", folder + "/offsets");
		p.setProperty("offset.flush.interval.ms", "1000");
		return p;
	}

	public static void main(String[] words) throws Exception {
		CountDownLatch ended = new CountDownLatch(1);
		DebeziumEngine<ChangeEvent<SourceRecord, SourceRecord>> engine = DebeziumEngine.create(Connect.class)
		    .using(source(URI.create(words[0]), words[2], words[3], words[4]))
		    .using((success, message, error) -> {
			    if (!success)
				    System.err.println(message + (error == null ? "" : ": " + error));
			    ended.countDown();
		    })
		    .notifying(new Peer(URI.create(words[1])))
		    .build();

		Runtime.getRuntime().addShutdownHook(new Thread(() -> {
			try {
				engine.close();
				ended.await(60, TimeUnit.SECONDS);
			} catch (Exception e) {
				System.err.println("cannot stop: " + e);
			}
		}));
		engine.run();
	}

	private record Context(Map<String, String> configs) implements SinkTaskContext {
		static final Set<TopicPartition> PARTITIONS = Set.of(new TopicPartition("s", 0));

		@Override public void offset(Map<TopicPartition, Long> offsets) { }
		@Override public void offset(TopicPartition partition, long offset) { }
		@Override public void timeout(long ms) { }
		@Override public Set<TopicPartition> assignment() { return PARTITIONS; }
		@Override public void pause(TopicPartition... partitions) { }
		@Override public void resume(TopicPartition... partitions) { }
		@Override public void requestCommit() { }
		@Override public PluginMetrics pluginMetrics() { return null; }
	}
}
