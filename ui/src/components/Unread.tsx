import type { UseQueryResult } from '@tanstack/react-query';
import { ErrorNotice } from './ErrorNotice';

interface UnreadProps {
  /** By what each reads, as a sentence begins with it: "Roles". */
  queries: Record<string, Pick<UseQueryResult, 'data' | 'error' | 'refetch'>>;
}

/** Which of the lists that a form offers could not be read, and a way to try again; nothing where they were. */
export function Unread({ queries }: UnreadProps) {
  const failed = Object.entries(queries).filter(([, { data, error }]) => error && data === undefined);
  if (failed.length === 0) return null;
  const names = failed.map(([name], index) => (index ? name.charAt(0).toLowerCase() + name.slice(1) : name));
  return (
    <ErrorNotice
      error={failed[0]![1].error!}
      title={`${new Intl.ListFormat('en').format(names)} could not be read`}
      action={{
        label: 'Try again',
        onClick: () => {
          for (const [, query] of failed) void query.refetch();
        },
      }}
    />
  );
}
