import { pathTo } from './conversation';
import { RequestDialog } from './RequestDialog';
import type { Pane, Turn } from './types';

interface AnswerCodeProps {
  pane: Pane;
  turn: Turn;
  project: string;
  onClose: () => void;
}

/** The request that an answer was the answer to. */
export function AnswerCode({ pane, turn, project, onClose }: AnswerCodeProps) {
  const before = turn.parent ? pathTo(pane, turn.parent) : [];
  return (
    <RequestDialog
      title="The request of this answer"
      project={project}
      settings={turn.answer!.settings}
      turns={before}
      sessionId={pane.sessionId}
      opened
      onClose={onClose}
    />
  );
}
