import type { DiskSeriesRow, DisksBody, FileSystemRow } from "../schema";
import { useAnswer } from "../lib/api";
import { bytes, percent, words } from "../lib/format";
import { href, iso, range, serverPath } from "../lib/route";
import { age, near } from "../lib/time";
import { Chart } from "../ui/chart";
import { Asked, Empty } from "../ui/empty";
import { Meter } from "../ui/bar";
import { Table, type Column } from "../ui/table";
import type { Page } from "./page";

/** What is stored where nothing changes, in milliseconds. */
const stored = 300e3;

const part = (left: number | null, of: number | null) => (left === null || !of ? null : 1 - left / of);

const columns: Column<FileSystemRow>[] = [
  { id: "mount", name: "mounted at", wide: true, value: (f) => f.mount_point, cell: (f) => <>{f.mount_point} <span class="muted">{f.uses.map(words).join(", ")}</span></> },
  {
    id: "used", name: "used", number: true, value: (f) => part(f.free_bytes, f.total_bytes),
    cell: (f) => {
      const used = part(f.free_bytes, f.total_bytes);
      return used === null ? "–" : <span class="load"><Meter value={used} of={1} warn={0.9} text={`${bytes(f.free_bytes)} left of ${bytes(f.total_bytes)}`} /><b>{percent(used)}</b></span>;
    },
  },
  { id: "free", name: "left", number: true, title: "What an unprivileged process can use", value: (f) => f.free_bytes, cell: (f) => bytes(f.free_bytes) },
  { id: "size", name: "of", number: true, level: 2, value: (f) => f.total_bytes, cell: (f) => bytes(f.total_bytes) },
  { id: "trend", name: "a day", number: true, level: 2, title: "How what is left changes, by the last day", value: (f) => f.trend_bytes_per_second, cell: (f) => (f.trend_bytes_per_second === null ? "–" : bytes(Math.round(f.trend_bytes_per_second * 86400))) },
  {
    id: "full", name: "full in", number: true, title: "If the last day's trend goes on", value: (f) => f.full_in_hours,
    cell: (f) => (f.full_in_hours === null ? "–" : <span class={f.full_in_hours < 24 ? "bad" : f.full_in_hours < 168 ? "warn" : ""}>{age(f.full_in_hours * 3600)}</span>),
  },
  { id: "inodes", name: "inodes used", number: true, level: 3, value: (f) => part(f.inodes_free, f.inodes_total), cell: (f) => percent(part(f.inodes_free, f.inodes_total)) },
  { id: "device", name: "device", level: 4, value: (f) => f.device },
];

function Disks({ params }: { params: Record<string, string> }) {
  const name = params.name!, { from, to } = range.value;
  const disks = useAnswer("/api/v1/servers/{name}/disks", { name }, {}, 60);
  const past = useAnswer("/api/v1/servers/{name}/history/disks", { name }, { from: iso(from), to: iso(to) });
  return (
    <>
      <h1>Disks</h1>
      <Asked answer={disks}>
        {(data) => (
          <>
            {data.problem && <p class="note warn">{data.problem}</p>}
            {data.file_systems.length === 0 ? <Nothing name={name} data={data} /> : (
              <>
                <Table main label="file systems" file={`disks ${name}`} rows={data.file_systems} columns={columns} id={(f) => f.mount_point} sort={{ id: "used", down: true }} />
                {!data.live && data.sampled_at && <p class="muted">As of {near(Date.parse(data.sampled_at))}.</p>}
              </>
            )}
            {data.missing.length > 0 && <p class="note warn">Not looked at: {data.missing.map((m) => `${m.path} (${words(m.use)}): ${words(m.reason)}`).join("; ")}.</p>}
          </>
        )}
      </Asked>
      <Asked answer={past} lines={6}>
        {(data) => <>{data.file_systems.map((f) => <Past key={f.mount_point} f={f} from={from} to={to} step={data.step_seconds ? data.step_seconds * 1000 : stored} />)}</>}
      </Asked>
    </>
  );
}

/** How full a file system was; of each bucket the most. */
function Past({ f, from, to, step }: { f: DiskSeriesRow; from: number; to: number; step: number }) {
  const size = f.total_bytes.findLast((v) => v !== null) ?? null;
  const values = f.min_free_bytes.map((free, i) => (free === null || f.total_bytes[i] == null ? null : f.total_bytes[i]! - free));
  const used = values.findLast((v) => v !== null);
  return (
    <Chart
      title={f.mount_point} from={from} to={to} times={f.times.map((t) => Date.parse(t))} step={step} height={110} text={bytes}
      series={[{ key: "used", label: "used", colour: "--c-io", values }]} limit={size ? { value: size, label: `size ${bytes(size)}` } : null}
      note={used != null && size ? `${percent(used / size)} of ${bytes(size)}` : undefined}
    />
  );
}

function Nothing({ name, data }: { name: string; data: DisksBody }) {
  return (
    <Empty title={data.source === "none" ? "Nobody looks at this server's disks" : "Nothing is known of its disks yet"}>
      <p>
        {data.source === "none" ? "Give its host a user for SSH, or say that pgam runs on it" : "They are looked at within a minute; if not, a test tells what is missing"}:{" "}
        <a href={href(serverPath(name, "edit"))}>the form of the server</a>.
      </p>
    </Empty>
  );
}

export const disks: Page = { path: "s/{name}/disks", title: (p) => `${p.name}: disks`, tab: "Disks", key: "h", ranged: true, view: Disks };
