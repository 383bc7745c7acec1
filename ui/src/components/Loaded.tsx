import { Alert, Skeleton, Stack } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { ErrorNotice } from './ErrorNotice';

interface LoadedProps<T> {
  query: UseQueryResult<T>;
  /** What cannot be shown when it fails: "Models could not be read". */
  failed: string;
  children: (data: T) => ReactNode;
}

/** What a query found; before that its outline, or what went wrong and a way to try again. */
export function Loaded<T>({ query, failed, children }: LoadedProps<T>) {
  if (query.data !== undefined) {
    return (
      <>
        {query.error && (
          <Alert color="yellow" mb="xs" py={6} role="status">
            This is not the newest: {query.error.message}
          </Alert>
        )}
        {children(query.data)}
      </>
    );
  }
  if (query.error) {
    return (
      <ErrorNotice
        error={query.error}
        title={failed}
        action={{ label: 'Try again', onClick: () => void query.refetch() }}
      />
    );
  }
  return (
    <Stack gap="sm" aria-busy="true" role="status" aria-label="Loading">
      <Skeleton height={36} />
      <Skeleton height={36} />
      <Skeleton height={36} width="70%" />
    </Stack>
  );
}
