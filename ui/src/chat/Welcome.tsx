import { Button, SimpleGrid, UnstyledButton } from '@mantine/core';
import { IconCube, IconMessageCircle } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { modelsQuery, projectsQuery } from '../api/queries';
import { EmptyState } from '../components/EmptyState';
import classes from './Chat.module.css';

const SUGGESTIONS = [
  'Name the capital of France.',
  'Write a short e-mail that says the meeting moved to Friday.',
  'Explain what a hash table is, in three sentences.',
  'Give me five names for a coffee shop by the sea.',
];

/** Before the first message: what this page does, and something to begin with. */
export function Welcome({ project, onSuggest }: { project: string; onSuggest: (text: string) => void }) {
  const { data: projects = [] } = useQuery(projectsQuery);
  const { data: models } = useQuery(modelsQuery(project));
  if (models?.length === 0) return <NoModel project={project} />;
  const name = projects.find(({ key }) => key === project)?.name ?? project;
  return (
    <div className={classes.welcome}>
      <EmptyState icon={IconMessageCircle} title={`Ask the models of ${name}`}>
        <p>
          Each answer is an interaction like those of your applications: stored, labelled, ready to be scored.
          Settings, a JSON schema for answers and a second model to compare with are at the top.
        </p>
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="xs" mt="md">
          {SUGGESTIONS.map((text) => (
            <UnstyledButton key={text} className={classes.suggestion} onClick={() => onSuggest(text)}>
              {text}
            </UnstyledButton>
          ))}
        </SimpleGrid>
      </EmptyState>
    </div>
  );
}

function NoModel({ project }: { project: string }) {
  const action = (
    <Button
      renderRoot={(props) => <Link to="/projects/$project/models" params={{ project }} {...props} />}
      mt="xs"
    >
      Go to Models
    </Button>
  );
  return (
    <div className={classes.welcome}>
      <EmptyState icon={IconCube} title="No model to ask yet" action={action}>
        A model answers here as soon as one is attached to this project, on the page Models.
      </EmptyState>
    </div>
  );
}
