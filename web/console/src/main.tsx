import "uplot/dist/uPlot.min.css";
import "./app.css";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { findSession, session, unknown } from "./lib/api";
import { listenToKeys } from "./lib/keys";
import { allows } from "./lib/role";
import { address, followLinks, root } from "./lib/route";
import { pageOf } from "./pages";
import { Login } from "./pages/login";
import { Empty, Problem } from "./ui/empty";
import { Frame } from "./ui/frame";

function App() {
  const found = pageOf(address.value.pathname.slice(root.length));
  const title = found?.page.title(found.params) ?? "Not found";
  useEffect(() => {
    document.title = `${title} · pgam`;
  }, [title]);
  if (session.value === null) return <Login />;
  if (session.value === undefined) return unknown.value && <main><Problem cause={unknown.value} /></main>;
  const View = found?.page.view, least = found?.page.manage ?? "viewer";
  return (
    <Frame page={found?.page ?? null} params={found?.params ?? {}}>
      {!allows(least) ? (
        <Empty title={`This page is for ${least === "admin" ? "administrators" : "operators"}`}>Log in as one, or ask one. <a href={root}>All servers</a></Empty>
      ) : View && found ? (
        // Another server's page begins anew; another range of it does not.
        <View key={found.page.path + (found.params.name ?? "")} params={found.params} />
      ) : (
        <Empty title="There is no such page"><a href={root}>All servers</a></Empty>
      )}
    </Frame>
  );
}

followLinks();
listenToKeys();
void findSession();
render(<App />, document.getElementById("app")!);
