import { Center, Container } from '@mantine/core';
import { type ErrorComponentProps, useRouter } from '@tanstack/react-router';
import { unreachable } from '../api/errors';
import { ErrorNotice } from './ErrorNotice';

/** In place of a page that could not be shown. */
export function ErrorPage({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const again = () => {
    reset();
    router.invalidate();
  };
  return (
    <Center mih="60vh">
      <Container size="sm" w="100%">
        <ErrorNotice
          error={unreachable(error)}
          title="This page could not be shown"
          action={{ label: 'Try again', onClick: again }}
        />
      </Container>
    </Center>
  );
}
