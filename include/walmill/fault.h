/* SPDX-License-Identifier: PostgreSQL */
/*
 * fault.h - points at which a test has the process killed.
 *
 * Only in a build configured with --enable-fault-injection; any other has nothing of it.  With
 * WALMILL_FAULT_AT=NAME:N in the environment the process kills itself, with SIGKILL, when it passes point NAME for
 * the Nth time; WALMILL_FAULT_AT=list has it print all points and end.
 *
 * A point stands before or behind every step that something relies on after a crash.
 */
#ifndef WM_FAULT_H
#define WM_FAULT_H

/* Each point once, in one line, which the tests read: its name, and what has happened when it is passed. */
/* clang-format off */
#define WM_FAULT_POINTS(X) \
	/* src/journal */ \
	X(journal_file_created, "the journal's next file is there, empty") \
	X(journal_head_written, "it has its head") \
	X(journal_frame_begun, "a frame's length and checksum are written, its records are not") \
	X(journal_frame_written, "a frame is written, not synced") \
	X(journal_file_synced, "what was written to the file is durable") \
	X(journal_folder_synced, "the file's name is durable") \
	X(journal_file_full, "a file is closed, the next is not begun") \
	X(journal_trimmed, "a file that no target needs is deleted") \
	X(journal_end_cut, "the torn end of the last file is cut off, not synced") \
	X(journal_headless_deleted, "a file without a whole head is deleted") \
	X(journal_recovered, "the files of before are read") \
	X(journal_dropped, "the files of before are deleted, a new journal is not begun") \
	X(journal_restarted, "a new journal is begun in memory") \
	X(journal_mend_deleted, "a file in which nothing is durable is deleted after an error") \
	X(journal_mended, "a file with an error is left behind for another") \
	X(journal_delete_step, "a file of a journal that nobody uses is deleted") \
	X(journal_deleted, "such a journal's folder is deleted") \
	/* src/state */ \
	X(state_locked, "the state folder is ours") \
	X(state_file_made, "the state's file is there") \
	X(state_upgraded, "the state's tables have come one version further") \
	X(state_source_before, "a source's record is to be stored") \
	X(state_source_stored, "it is stored") \
	X(state_progress_before, "positions are written, not committed") \
	X(state_progress_stored, "they are committed") \
	X(state_reached_before, "a target's first position is to be stored") \
	X(state_reached_stored, "it is stored") \
	X(state_target_forgotten, "the position of a target that left is removed") \
	X(state_gaps_before, "tables that were not published are noted, not committed") \
	X(state_gaps_stored, "they are committed") \
	X(state_gaps_cleared, "they are forgotten") \
	X(state_mask_key_stored, "the key of masked columns is made and stored") \
	X(state_forget_before, "all of a source is removed, not committed") \
	X(state_forgotten, "the removal is committed") \
	X(state_seeded_before, "all is seeded through a new slot, which the state does not know") \
	X(state_seeded, "the state knows that all is seeded through a new slot") \
	X(letter_before, "a dead letter is to be stored") \
	X(letter_stored, "it is stored") \
	X(letters_change_before, "dead letters are marked or removed, not committed") \
	X(letters_changed, "that is committed") \
	X(letters_of_view_dropped, "the dead letters of a view that is seeded are removed") \
	X(letter_tried, "an attempt that failed is counted") \
	X(receipts_before, "receipts are written, not committed") \
	X(receipts_stored, "they are committed") \
	X(receipts_trimmed, "old receipts are removed, not committed") \
	X(receipts_forgotten, "receipts of what was rolled back are removed") \
	X(receipt_settled, "a receipt that a crash left open is settled") \
	/* src/pg, src/source, src/pipeline: at the source */ \
	X(slot_before, "the slot is to be made") \
	X(slot_created, "the slot is made") \
	X(slot_dropped, "the slot is dropped") \
	X(publication_before, "a publication is to be made or altered") \
	X(publication_changed, "it is made or altered") \
	X(publication_dropped, "a publication is dropped") \
	X(feedback_before, "the position is stored, the source is to be told") \
	X(feedback_sent, "the source is told") \
	X(prepared_written, "a prepared transaction is in its file, which has no name") \
	X(prepared_synced, "the file is durable, and has no name") \
	X(prepared_named, "it has its name, which is not durable") \
	X(prepared_kept, "the name is durable, the position has not moved past the transaction") \
	X(prepared_done, "the transaction is committed, the journal has nothing of it") \
	X(prepared_removed, "the file of one that has ended is removed") \
	/* src/targets */ \
	X(sqlite_bookmarks_made, "sqlite: the table of bookmarks is there") \
	X(sqlite_begun, "sqlite: a transaction has begun") \
	X(sqlite_shaped, "sqlite: a view's table is made or altered, not committed") \
	X(sqlite_written, "sqlite: rows are written, not committed") \
	X(sqlite_commit_before, "sqlite: bookmarks are written, not committed") \
	X(sqlite_committed, "sqlite: rows and bookmarks are committed") \
	X(postgres_bookmarks_made, "postgres: the table of bookmarks is there") \
	X(postgres_begun, "postgres: a transaction has begun") \
	X(postgres_shaped, "postgres: a view's table is made or altered, not committed") \
	X(postgres_sent, "postgres: statements, perhaps a COMMIT, are sent, their answers are awaited") \
	X(postgres_keyed, "postgres: a table that was made without its key has got it, not committed") \
	X(postgres_copied, "postgres: rows are sent by COPY, the answer is awaited") \
	X(postgres_written, "postgres: rows are written, not committed") \
	X(postgres_shared, "postgres: several sessions have committed a batch that they shared, its bookmarks are not written") \
	X(postgres_commit_before, "postgres: bookmarks and COMMIT are to be sent") \
	X(postgres_committed, "postgres: rows and bookmarks are committed") \
	X(zoho_view_written, "zoho_analytics: a view's part of a batch is written") \
	X(zoho_job_noted, "zoho_analytics: it is noted that a batch import may begin") \
	X(zoho_job_begun, "zoho_analytics: a batch import is begun, its key is not kept") \
	X(zoho_job_kept, "zoho_analytics: its key is kept, one batch is sent") \
	X(zoho_batch_sent, "zoho_analytics: another batch is sent") \
	X(zoho_job_ended, "zoho_analytics: the job has ended, its key is still kept") \
	/* src/pipeline: between the steps */ \
	X(ahead_written, "a batch is written while the next one gathers, its worker does not know yet") \
	X(apply_before, "letters and receipts are ready, the target's commit comes next") \
	X(gather_part_written, "rows of a higher priority are written, what waits is not, the position stays") \
	X(apply_committed, "the target has committed, letters that are void are still there") \
	X(apply_done, "they are gone, the position is not reported") \
	X(seed_view_emptied, "a view of before is emptied for its seed") \
	X(seed_bare, "a view is made without its key, for its seed, and its bookmark says so") \
	X(seed_keyed, "it has got its key") \
	X(seed_batch_before, "a batch of the seed is written, not committed") \
	X(seed_batch_committed, "it is committed with its bookmark") \
	X(seed_staged, "rows that were put aside have taken the view's place, no bookmark says so yet") \
	X(seed_table_done, "a table is seeded, no bookmark says so yet") \
	X(retry_committed, "dead letters are written at the target, and still there") \
	X(retry_done, "they are gone") \
	/* src/cli/teardown.c */ \
	X(teardown_at_source, "slot and publications are gone, the journal is not") \
	X(teardown_journal, "the journal is gone, the state is not")
/* clang-format on */

#define WM_FAULT_ENUM_(name, what) WM_FAULT_##name,
enum wm_fault_point { WM_FAULT_POINTS(WM_FAULT_ENUM_) WM_FAULT_COUNT_ };

/* Reads WALMILL_FAULT_AT; ends the process when it asks for the list, or cannot be understood. */
void wm_fault_start(void);
void wm_fault_pass(enum wm_fault_point point);

#ifdef WM_FAULT_INJECTION
#define WM_FAULT_START() wm_fault_start()
#define WM_FAULT(name) wm_fault_pass(WM_FAULT_##name)
#else
#define WM_FAULT_START() ((void)0)
#define WM_FAULT(name) ((void)0)
#endif

#endif
