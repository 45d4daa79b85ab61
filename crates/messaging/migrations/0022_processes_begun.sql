-- When a process began: those that take too long are found by it, whatever their deadlines are.
alter table messaging_processes add column begun_at timestamptz not null default now();

-- reason: no service of the releases before has led a process, so that the table is empty.
create index messaging_processes_open on messaging_processes (kind, begun_at) where ended_at is null;
