/** The agent's question before it uses a tool. */
import type { Approval } from "../../../client/src/index.js";

export function ApprovalCard({ approval, onAnswer }: {
  readonly approval: Approval;
  readonly onAnswer: (approval: Approval, consent: boolean) => void;
}) {
  return (
    <section class="approval" role="alertdialog" aria-labelledby="approval-title" aria-describedby="approval-what">
      <h2 id="approval-title">May the agent do this?</h2>
      <ul id="approval-what">
        {approval.requests.map((request) => {
          const tool = approval.tools.find(({ tool_use_id: id }) => id === request.tool_use_id);
          return (
            <li key={request.id}>
              {request.reason === undefined ? request.name : plain(request.reason)}
              {tool && <code> {tool.name}({plain(tool.input)})</code>}
            </li>
          );
        })}
      </ul>
      <div class="row">
        <button type="button" class="primary" onClick={() => { onAnswer(approval, true); }}>Allow</button>
        <button type="button" class="secondary" onClick={() => { onAnswer(approval, false); }}>Do not allow</button>
      </div>
    </section>
  );
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
